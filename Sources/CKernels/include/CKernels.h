#ifndef GENREC_CKERNELS_H
#define GENREC_CKERNELS_H

#endif
