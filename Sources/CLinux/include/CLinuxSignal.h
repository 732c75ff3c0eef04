// Signals as readiness of a descriptor.

#ifndef GENREC_CLINUX_SIGNAL_H
#define GENREC_CLINUX_SIGNAL_H

// From now on every signal `number` adds 1 to an eventfd, non-blocking and close-on-exec, instead of its default action.
// The eventfd is the process's for good: the same one for each call with this signal. -1 with errno. Not thread-safe.
int CLinux_countSignal(int number);

#endif
