// Linux interfaces that Swift's Glibc module cannot see: functions behind _GNU_SOURCE, packed or anonymous structures,
// and macros with casts. No function here adds behaviour, but for the
// signal handler, which Swift cannot write: nothing in it may allocate or wait. Every symbol starts with CLinux_.

#ifndef GENREC_CLINUX_H
#define GENREC_CLINUX_H

#include "CLinuxBuild.h"
#include "CLinuxEpoll.h"
#include "CLinuxFutex.h"
#include "CLinuxMemory.h"
#include "CLinuxSignal.h"
#include "CLinuxSocket.h"

#endif
