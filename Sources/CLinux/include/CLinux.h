#ifndef GENREC_CLINUX_H
#define GENREC_CLINUX_H

#include "CLinuxFutex.h"

#endif
