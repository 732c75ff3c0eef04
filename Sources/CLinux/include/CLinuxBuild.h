// Build information from compiler flags.

#ifndef GENREC_CLINUX_BUILD_H
#define GENREC_CLINUX_BUILD_H

// The commit, from `-DGENREC_COMMIT=\"…\"`, which `make dist` passes; empty without it.
const char *CLinux_commit(void);

#endif
