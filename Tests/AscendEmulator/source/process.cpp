// The life of the process: initialisation, its end with a report of leaks, and versions.

#include <cstring>

#include "AscendEmulator.h"
#include "calls.hpp"
#include "capture.hpp"
#include "functions.hpp"
#include "handles.hpp"
#include "objects.hpp"
#include "profile.hpp"

using namespace emulator;

aclError aclInit(const char *configPath) {
    return call("aclInit", configPath == nullptr ? "" : configPath, [&] {
        std::lock_guard lock(handles().mutex);
        if (configPath != nullptr) refuse(ACL_ERROR_INVALID_FILE, "%s cannot be read", configPath);
        if (handles().isInitialized) refuse(ACL_ERROR_REPEAT_INITIALIZE, "aclInit has been called before");
        handles().isInitialized = true;
        return ACL_SUCCESS;
    });
}

/// Objects that were created and never released.
static std::string leaks() {
    std::string text = Memory::leaks();
    {
        std::lock_guard lock(handles().mutex);
        for (const auto &[handle, stream] : handles().streams) text += format("stream %p; ", handle);
        for (const auto &[handle, event] : handles().events) text += format("event %p; ", handle);
        for (const auto &[handle, context] : handles().contexts) {
            if (!context->isPrimary) text += format("context %p; ", handle);
        }
        for (const auto &device : handles().devices) {
            if (device->uses > 0) text += format("device %d is set %d times; ", device->number, device->uses);
        }
    }
    return text + liveCaptures() + liveObjects();
}

aclError aclFinalize(void) {
    return call("aclFinalize", "", [&] {
        if (!handles().isInitialized) refuse(ACL_ERROR_REPEAT_FINALIZE, "there is nothing to finalize");
        const std::string left = leaks();
        for (int device = 0; device < profile().devices; device++) aclrtResetDeviceForce(device);
        std::lock_guard lock(handles().mutex);
        handles().isInitialized = false;
        if (left.empty()) return ACL_SUCCESS;
        // Real software reports nothing; here a leak is a failure.
        fprintf(stderr, "AscendEmulator: left behind: %s\n", left.c_str());
        refuse(ACL_ERROR_FAILURE, "left behind: %s", left.c_str());
    });
}

const char *aclGetRecentErrMsg(void) { return takeRecentMessage(); }

void AscendEmulator_setChip(const char *soc) {
    std::lock_guard lock(handles().mutex);
    if (handles().isInitialized) breach("the chip cannot be changed while CANN is initialised");
    setChip(soc);
}

aclError aclrtGetLastError(aclrtLastErrLevel level) {
    trace("aclrtGetLastError", "");
    return level == ACL_RT_THREAD_LEVEL ? takeLastError() : ACL_ERROR_INVALID_PARAM;
}

const char *aclrtGetSocName(void) {
    trace("aclrtGetSocName", "");
    return handles().isInitialized && profile().devices > 0 ? profile().soc.c_str() : nullptr;
}

aclError aclsysGetVersionStr(char *package, char *version) {
    return call("aclsysGetVersionStr", package == nullptr ? "" : package, [&] {
        if (package == nullptr || version == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "an argument is NULL");
        strcpy(version, "9.0.0-emulated");
        return ACL_SUCCESS;
    });
}

aclError aclsysGetCANNVersion(aclCANNPackageName package, aclCANNPackageVersion *version) {
    return call("aclsysGetCANNVersion", format("%d", (int)package), [&] {
        if (version == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "version is NULL");
        memset(version, 0, sizeof *version);
        strcpy(version->version, "8.1.RC1-emulated");
        return ACL_SUCCESS;
    });
}
