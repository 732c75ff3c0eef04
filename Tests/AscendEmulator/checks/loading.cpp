// How CAscend finds the libraries, and its errors if it does not.

#include <cstring>

#include "check.hpp"

static std::string load(bool expected) {
    char message[2048];
    EXPECT(CAscend_load(&acl, message, sizeof message) == expected);
    return message;
}

static bool says(const std::string &message, std::initializer_list<const char *> texts) {
    for (const char *text : texts) {
        if (message.find(text) == std::string::npos) fail(__FILE__, __LINE__, "'" + message + "' does not say " + text);
    }
    return true;
}

CHECK(load_FindsEverything_Of81, .isPrepared = false) {
    EXPECT(load(true).empty());
    EXPECT(acl.operators.Mm.plan != nullptr && acl.operators.InplaceIndexCopy.launch != nullptr);
    EXPECT(acl.operators.aclnnCalculateMatmulWeightSizeV2 != nullptr);
    EXPECT(acl.runtime.aclsysGetCANNVersion != nullptr && acl.runtime.aclsysGetVersionStr == nullptr);
}

CHECK(load_FindsEverything_Of9x, .environment = {{"ASCEND_HOME_PATH", "@/9.x"}}, .isPrepared = false) {
    EXPECT(load(true).empty());
    EXPECT(acl.operators.Mm.plan != nullptr && acl.operators.Topk.launch != nullptr);
    EXPECT(acl.runtime.aclsysGetCANNVersion == nullptr && acl.runtime.aclsysGetVersionStr != nullptr);
}

CHECK(load_FindsTheToolkitsHome, .environment = {{"ASCEND_HOME_PATH", "/nowhere"}, {"ASCEND_TOOLKIT_HOME", "@/9.x"}}, .isPrepared = false) {
    EXPECT(load(true).empty());
}

CHECK(load_SaysWhere_WhenThereIsNoRuntime, .environment = {{"ASCEND_HOME_PATH", "/nowhere"}}, .isPrepared = false) {
    EXPECT(says(load(false), {"libacl_rt.so", "libascendcl.so", "ASCEND_HOME_PATH=/nowhere/lib64", "set_env.sh"}));
}

CHECK(load_SaysSo_WhenTheEnvironmentIsNotSet, .isPrepared = false) {
    unsetenv("ASCEND_HOME_PATH");
    EXPECT(says(load(false), {"neither ASCEND_HOME_PATH nor ASCEND_TOOLKIT_HOME is set"}));
}

CHECK(load_NamesTheFunction_WhenARequiredOneIsMissing, .environment = {{"ASCEND_HOME_PATH", "@/partial"}}, .isPrepared = false) {
    EXPECT(says(load(false), {"aclrtMallocHost", "the CANN runtime", "install CANN 8.1"}));
}

/// A package of operators has precedence over CANN's own libraries: here that of the other generation, found in two
/// ways.
static void expectPackageFirst() {
    EXPECT(load(true).empty());
    EXPECT(acl.operators.Silu.plan != nullptr);
}

static std::string package(const char *name) {
    const std::string layouts = getenv("ASCEND_EMULATOR_LAYOUTS");
    char folder[] = "/tmp/ascend-package-XXXXXX";
    EXPECT(mkdtemp(folder) != nullptr);
    const std::string vendor = std::string(folder) + "/vendors/" + name;
    EXPECT(system(("mkdir -p " + vendor + "/op_api/lib && cp " + layouts + "/8.1/lib64/libopapi.so " + vendor + "/op_api/lib/libcust_opapi.so").c_str()) == 0);
    return folder;
}

/// The file that a function is from.
static std::string origin(void *function);

CHECK(load_AsksPackagesFirst_OfTheCustomPath, .isPrepared = false) {
    const std::string folder = package("genrec");
    setenv("ASCEND_CUSTOM_OPP_PATH", ("/nowhere:" + folder + "/vendors/genrec").c_str(), 1);
    setenv("LD_LIBRARY_PATH", "", 1);
    expectPackageFirst();
    EXPECT(origin((void *)acl.operators.Silu.plan).find("/vendors/genrec/op_api/lib/libcust_opapi.so") != std::string::npos);
    EXPECT(system(("rm -r " + folder).c_str()) == 0);
}

CHECK(load_AsksPackagesFirst_OfTheVendors, .isPrepared = false) {
    const std::string folder = package("second");
    FILE *file = fopen((folder + "/vendors/config.ini").c_str(), "w");
    fputs("# vendors\nload_priority=first,second\n", file);
    fclose(file);
    setenv("ASCEND_OPP_PATH", folder.c_str(), 1);
    expectPackageFirst();
    EXPECT(origin((void *)acl.operators.Silu.plan).find("/vendors/second/op_api/lib/libcust_opapi.so") != std::string::npos);
    EXPECT(system(("rm -r " + folder).c_str()) == 0);
}

CHECK(statusName_NamesCodes, .isPrepared = false) {
    EXPECT(strcmp(CAscend_statusName(507015), "ACL_ERROR_RT_AICORE_EXCEPTION") == 0);
    EXPECT(strcmp(CAscend_statusName(161002), "ACLNN_ERR_PARAM_INVALID") == 0);
    EXPECT(CAscend_statusName(424242) == nullptr);
}

#include <dlfcn.h>

static std::string origin(void *function) {
    Dl_info info;
    return dladdr(function, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}
