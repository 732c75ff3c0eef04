// Build information from compiler flags.

#ifndef GENREC_CLINUX_BUILD_H
#define GENREC_CLINUX_BUILD_H

// The commit, from `-DGENREC_COMMIT=\"…\"` (`make dist` gives it); empty if it was not given.
const char *CLinux_commit(void);

#endif
