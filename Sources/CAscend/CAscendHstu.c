#include "CAscendHstu.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { most_text = 1 << 16 };

/// Replaces comments by spaces.
static void removeComments(char *text) {
    for (char *at = text; *at != '\0';) {
        const char *end = NULL;
        if (strncmp(at, "/*", 2) == 0) {
            end = strstr(at + 2, "*/");
            end = end == NULL ? at + strlen(at) : end + 2;
        } else if (strncmp(at, "//", 2) == 0) {
            end = at + strcspn(at, "\n");
        }
        if (end == NULL) {
            at++;
            continue;
        }
        while (at < end) *at++ = ' ';
    }
}

/// Appends a parameter as `type name;`: the type without spaces and const, the name in lower case without underscores
/// and without the suffix "Optional" of generated headers.
static void append(char *list, size_t length, const char *parameter, size_t count) {
    while (count > 0 && isspace((unsigned char)parameter[count - 1])) count--;
    size_t start = count;
    while (start > 0 && (isalnum((unsigned char)parameter[start - 1]) || parameter[start - 1] == '_')) start--;
    char one[256];
    size_t used = 0;
    for (size_t at = 0; at < start && used < sizeof one - 2;) {
        if (start - at >= 5 && strncmp(parameter + at, "const", 5) == 0) {
            at += 5;
        } else {
            if (!isspace((unsigned char)parameter[at])) one[used++] = parameter[at];
            at++;
        }
    }
    one[used++] = ' ';
    const size_t name = used;
    for (size_t at = start; at < count && used < sizeof one - 1; at++) {
        if (parameter[at] != '_') one[used++] = (char)tolower((unsigned char)parameter[at]);
    }
    static const char suffix[] = "optional";
    const size_t extra = sizeof suffix - 1;
    if (used - name > extra && strncmp(one + used - extra, suffix, extra) == 0) used -= extra;
    const size_t before = strlen(list);
    snprintf(list + before, length - before, "%.*s;", (int)used, one);
}

/// Lists the parameters that a header declares for phase 1, each as `append` writes it. False if there is no such
/// declaration.
static bool declaredParameters(char *text, const char *function, char *list, size_t length) {
    removeComments(text);
    list[0] = '\0';
    for (char *at = strstr(text, function); at != NULL; at = strstr(at, function)) {
        at += strlen(function);
        at += strspn(at, " \t\r\n");
        if (*at != '(') continue;
        at++;
        const char *end = strchr(at, ')');
        if (end == NULL) return false;
        while (at < end) {
            size_t count = strcspn(at, ",)");
            append(list, length, at, count);
            at += count + 1;
        }
        return true;
    }
    return false;
}

/// An operator as the header of a package may declare it.
typedef struct {
    /// "HstuDenseForward"
    const char *name;
    /// The header's name.
    const char *header;
    /// The operands before the output, followed by one of `ends` (as `append` writes them).
    const char *const *operands;
    size_t count;
    const char *const *ends;
    int endCount;
} declaration;

/// The index of the end that the package's header declares, with the library's path in `text`; -1 if none, with the
/// reason in `text`.
static int declaredEnd(const declaration *operator, const char *package, char *text, size_t textLength) {
    static char source[most_text], found[4096], known[4096];
    char path[PATH_MAX], function[64];
    snprintf(path, sizeof path, "%s/op_api/include/%s", package, operator->header);
    snprintf(function, sizeof function, "aclnn%sGetWorkspaceSize", operator->name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        snprintf(text, textLength, "aclnn%s is installed without its header %.500s", operator->name, path);
        return -1;
    }
    source[fread(source, 1, sizeof source - 1, file)] = '\0';
    fclose(file);
    if (!declaredParameters(source, function, found, sizeof found)) {
        snprintf(text, textLength, "%.500s does not declare %s", path, function);
        return -1;
    }
    known[0] = '\0';
    for (size_t index = 0; index < operator->count; index++) {
        append(known, sizeof known, operator->operands[index], strlen(operator->operands[index]));
    }
    const size_t common = strlen(known);
    for (int end = 0; end < operator->endCount; end++) {
        snprintf(known + common, sizeof known - common, "%s", operator->ends[end]);
        // The name of the output does not matter.
        const size_t length = strlen(known);
        if (strncmp(found, known, length) != 0) continue;
        const char *rest = found + length;
        const char *output = "aclTensor* ";
        if (strncmp(rest, output, strlen(output)) != 0) continue;
        rest += strcspn(rest, ";");
        if (strcmp(rest, ";uint64_t* workspacesize;aclOpExecutor** executor;") != 0) continue;
        snprintf(text, textLength, "%.500s/op_api/lib/libcust_opapi.so", package);
        return end;
    }
    snprintf(text, textLength, "%.500s declares other operands than are known here", path);
    return -1;
}

#define CASCEND_PARAMETER(type, name) #type " " #name,
static const char *const denseOperands[] = {
#include "lists/hstu.inc"
};
static const char *const jaggedOperands[] = {
#include "lists/hstu_jagged.inc"
};
#undef CASCEND_PARAMETER

void CAscend_bindHstu(CAscend_hstu *hstu, const char *package, void *plan, void *launch) {
    static const char *const ends[] = {"", "bool deterministic;"};
    static const declaration dense = {
        "HstuDenseForward", "aclnn_hstu_dense_forward.h", denseOperands, sizeof denseOperands / sizeof denseOperands[0], ends, 2};
    const int end = declaredEnd(&dense, package, hstu->text, sizeof hstu->text);
    if (end < 0) return;
    if (end == 0) *(void **)&hstu->plan = plan;
    else *(void **)&hstu->planDeterministic = plan;
    *(void **)&hstu->launch = launch;
}

void CAscend_bindHstuJagged(CAscend_hstu *hstu, const char *package, void *plan, void *launch) {
    static const char *const ends[] = {""};
    static const declaration jagged = {
        "HstuJaggedForward", "aclnn_hstu_jagged_forward.h", jaggedOperands, sizeof jaggedOperands / sizeof jaggedOperands[0], ends, 1};
    if (declaredEnd(&jagged, package, hstu->textJagged, sizeof hstu->textJagged) < 0) return;
    *(void **)&hstu->planJagged = plan;
    *(void **)&hstu->launchJagged = launch;
}
