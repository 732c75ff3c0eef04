#include "CLinuxBuild.h"

#ifndef GENREC_COMMIT
#define GENREC_COMMIT ""
#endif

const char *CLinux_commit(void) { return GENREC_COMMIT; }
