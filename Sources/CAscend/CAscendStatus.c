#include "CAscendStatus.h"

#include <stddef.h>

const char *CAscend_statusName(int32_t status) {
    switch (status) {
#define CASCEND_STATUS(value, name)                                                                \
    case value: return #name;
#include "lists/status.inc"
#undef CASCEND_STATUS
    default: return NULL;
    }
}
