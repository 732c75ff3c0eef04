#include "CAscendLibrary.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { most_libraries = 32 };

/// Libraries in the search order for symbols, and why missing ones could not be loaded.
typedef struct {
    void *handles[most_libraries];
    int count;
    /// The folders of packages, whose libraries come first.
    char packages[most_libraries][PATH_MAX];
    /// The linker's message about a library that exists but cannot be loaded; empty if there is none.
    char reason[512];
} libraries;

static bool add(libraries *list, const char *path) {
    if (list->count == most_libraries) return false;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        // "cannot open shared object file: No such file" about the path itself is the ordinary case. A missing
        // dependency, or a file for another architecture, is worth reporting.
        const char *words = dlerror();
        const bool isAbsent = words != NULL && strncmp(words, path, strlen(path)) == 0
            && strstr(words, "No such file") != NULL;
        if (words != NULL && !isAbsent && list->reason[0] == '\0') {
            snprintf(list->reason, sizeof list->reason, "%s", words);
        }
        return false;
    }
    list->handles[list->count++] = handle;
    return true;
}

/// Adds a library of CANN, searched by name, then in the installations that the environment names.
static bool addOfCANN(libraries *list, const char *name) {
    if (add(list, name)) return true;
    static const char *const roots[] = {"ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"};
    for (size_t index = 0; index < sizeof roots / sizeof roots[0]; index++) {
        const char *root = getenv(roots[index]);
        char path[PATH_MAX];
        if (root == NULL || root[0] == '\0') continue;
        if (snprintf(path, sizeof path, "%s/lib64/%s", root, name) >= (int)sizeof path) continue;
        if (add(list, path)) return true;
    }
    return false;
}

/// Adds the operators of an installed package.
static void addPackage(libraries *list, const char *directory, size_t length) {
    char path[PATH_MAX];
    if (length == 0) return;
    const int written = snprintf(path, sizeof path, "%.*s/op_api/lib/libcust_opapi.so", (int)length, directory);
    if (written >= (int)sizeof path) return;
    const int number = list->count;
    if (add(list, path)) snprintf(list->packages[number], PATH_MAX, "%.*s", (int)length, directory);
}

/// Adds the packages of `$ASCEND_OPP_PATH/vendors`, in the order of the line `load_priority=a,b` in its config.ini.
static void addVendors(libraries *list) {
    const char *root = getenv("ASCEND_OPP_PATH");
    char path[PATH_MAX];
    if (root == NULL || snprintf(path, sizeof path, "%s/vendors/config.ini", root) >= (int)sizeof path) return;
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    char line[4096];
    while (fgets(line, sizeof line, file) != NULL) {
        static const char key[] = "load_priority=";
        if (strncmp(line, key, sizeof key - 1) != 0) continue;
        char *rest = line + sizeof key - 1;
        rest[strcspn(rest, "\r\n")] = '\0';
        for (char *vendor = strtok_r(rest, ",", &rest); vendor != NULL; vendor = strtok_r(NULL, ",", &rest)) {
            const int written = snprintf(path, sizeof path, "%s/vendors/%s", root, vendor);
            if (written < (int)sizeof path) addPackage(list, path, (size_t)written);
        }
    }
    fclose(file);
}

static void addCustomPackages(libraries *list) {
    const char *directories = getenv("ASCEND_CUSTOM_OPP_PATH");
    while (directories != NULL && directories[0] != '\0') {
        const size_t length = strcspn(directories, ":");
        addPackage(list, directories, length);
        directories += length + (directories[length] == ':');
    }
    addVendors(list);
}

/// Finds RecSDK's fused attention. Each operator comes only from the first package that has it.
static void findHstu(const libraries *list, int packages, CAscend_hstu *hstu) {
    snprintf(hstu->text, sizeof hstu->text, "no installed package has aclnnHstuDenseForward");
    snprintf(hstu->textJagged, sizeof hstu->textJagged, "no installed package has aclnnHstuJaggedForward");
    for (int index = 0; index < packages; index++) {
        void *plan = dlsym(list->handles[index], "aclnnHstuDenseForwardGetWorkspaceSize");
        void *launch = dlsym(list->handles[index], "aclnnHstuDenseForward");
        if (plan == NULL || launch == NULL) continue;
        CAscend_bindHstu(hstu, list->packages[index], plan, launch);
        break;
    }
    for (int index = 0; index < packages; index++) {
        void *plan = dlsym(list->handles[index], "aclnnHstuJaggedForwardGetWorkspaceSize");
        void *launch = dlsym(list->handles[index], "aclnnHstuJaggedForward");
        if (plan == NULL || launch == NULL) continue;
        CAscend_bindHstuJagged(hstu, list->packages[index], plan, launch);
        break;
    }
}

static void *find(const libraries *list, const char *symbol) {
    for (int index = 0; index < list->count; index++) {
        void *address = dlsym(list->handles[index], symbol);
        if (address != NULL) return address;
    }
    return NULL;
}

/// Writes where libraries were searched: "on the library path" and the directories that the environment names.
static void describePlaces(char *text, size_t length) {
    const char *home = getenv("ASCEND_HOME_PATH"), *toolkit = getenv("ASCEND_TOOLKIT_HOME");
    snprintf(
        text, length, "on the library path%s%s%s%s%s%s%s",
        home != NULL ? ", in ASCEND_HOME_PATH=" : "", home != NULL ? home : "", home != NULL ? "/lib64" : "",
        toolkit != NULL ? ", in ASCEND_TOOLKIT_HOME=" : "", toolkit != NULL ? toolkit : "",
        toolkit != NULL ? "/lib64" : "",
        home == NULL && toolkit == NULL ? " (neither ASCEND_HOME_PATH nor ASCEND_TOOLKIT_HOME is set)" : "");
}

static bool missingLibrary(const libraries *list, const char *what, char *message, size_t length) {
    char places[2 * PATH_MAX];
    describePlaces(places, sizeof places);
    snprintf(
        message, length,
        "%s was not found: looked %s%s%s; source the set_env.sh of the CANN installation, or install the CANN toolkit or "
        "runtime package",
        what, places, list->reason[0] != '\0' ? "; the linker says: " : "", list->reason);
    return false;
}

static bool missingSymbol(const char *symbol, const char *library, char *message, size_t length) {
    char places[2 * PATH_MAX];
    describePlaces(places, sizeof places);
    snprintf(
        message, length,
        "%s has no %s: looked %s; install CANN 8.1 or later, and a driver that fits it",
        library, symbol, places);
    return false;
}

bool CAscend_load(CAscend_library *library, char *message, size_t length) {
    memset(library, 0, sizeof *library);
    message[0] = '\0';

    static libraries runtime, tensors, operators;
    memset(&runtime, 0, sizeof runtime);
    memset(&tensors, 0, sizeof tensors);
    memset(&operators, 0, sizeof operators);
    addOfCANN(&runtime, "libacl_rt.so");
    addOfCANN(&runtime, "libascendcl.so");
    if (runtime.count == 0) {
        return missingLibrary(&runtime, "the CANN runtime (libacl_rt.so or libascendcl.so)", message, length);
    }
    // Functions may come from both libraries, but not from two versions: an installation has one of them or both.
#define CASCEND_OPTIONAL_FUNCTION(result, name, parameters)                                        \
    *(void **)&library->runtime.name = find(&runtime, #name);
#define CASCEND_FUNCTION(result, name, parameters)                                                 \
    CASCEND_OPTIONAL_FUNCTION(result, name, parameters)                                            \
    if (library->runtime.name == NULL) return missingSymbol(#name, "the CANN runtime", message, length);
#include "lists/runtime.inc"
#undef CASCEND_FUNCTION
#undef CASCEND_OPTIONAL_FUNCTION

    if (!addOfCANN(&tensors, "libnnopbase.so")) {
        return missingLibrary(&tensors, "libnnopbase.so of CANN", message, length);
    }
#define CASCEND_FUNCTION(result, name, parameters)                                                 \
    *(void **)&library->tensors.name = find(&tensors, #name);                                      \
    if (library->tensors.name == NULL) return missingSymbol(#name, "libnnopbase.so", message, length);
#include "lists/tensors.inc"
#undef CASCEND_FUNCTION

    addCustomPackages(&operators);
    const int packages = operators.count;
    findHstu(&operators, packages, &library->hstu);
    addOfCANN(&operators, "libopapi_math.so");
    addOfCANN(&operators, "libopapi_nn.so");
    addOfCANN(&operators, "libopapi_transformer.so");
    addOfCANN(&operators, "libopapi.so");
    if (operators.count == packages) {
        return missingLibrary(&operators, "CANN's operators (libopapi.so or libopapi_nn.so)", message, length);
    }
#define CASCEND_OPERATOR(library_, name_, ...)                                                     \
    *(void **)&library->operators.name_.plan = find(&operators, "aclnn" #name_ "GetWorkspaceSize"); \
    *(void **)&library->operators.name_.launch = find(&operators, "aclnn" #name_);                 \
    if (library->operators.name_.plan == NULL || library->operators.name_.launch == NULL) {        \
        library->operators.name_.plan = NULL;                                                      \
        library->operators.name_.launch = NULL;                                                    \
    }
#define CASCEND_OPERATOR_FUNCTION(library_, name_, parameters)                                     \
    *(void **)&library->operators.name_ = find(&operators, #name_);
#include "lists/operators.inc"
#undef CASCEND_OPERATOR
#undef CASCEND_OPERATOR_FUNCTION
    return true;
}
