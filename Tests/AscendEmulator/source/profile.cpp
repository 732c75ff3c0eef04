#include "profile.hpp"

#include <cstdlib>
#include <map>
#include <sstream>

#include "status.hpp"

namespace emulator {

static std::string text(const char *name) {
    const char *value = getenv(name);
    return value == nullptr ? "" : value;
}

static uint64_t number(const char *name, uint64_t otherwise) {
    const std::string value = text(name);
    if (value.empty()) return otherwise;
    char *end = nullptr;
    const uint64_t result = strtoull(value.c_str(), &end, 10);
    if (*end != '\0') breach("%s is '%s', which is no number", name, value.c_str());
    return result;
}

static std::set<std::string> list(const char *name) {
    std::set<std::string> items;
    std::istringstream all(text(name));
    for (std::string item; std::getline(all, item, ',');) items.insert(item);
    return items;
}

/// Names of CANN 8.1's platform_config and of torch_npu's NpuVariables.h.
static void findChip(Profile &profile) {
    static const std::map<std::string, Chip> chips = {
        {"Ascend910A", Chip::first},     {"Ascend910ProA", Chip::first},  {"Ascend910B", Chip::first},
        {"Ascend910ProB", Chip::first},  {"Ascend910PremiumA", Chip::first},
        {"Ascend310P1", Chip::inference}, {"Ascend310P3", Chip::inference}, {"Ascend310P5", Chip::inference},
        {"Ascend310P7", Chip::inference}, {"Ascend910B1", Chip::a2},       {"Ascend910B2", Chip::a2},
        {"Ascend910B2C", Chip::a2},      {"Ascend910B3", Chip::a2},       {"Ascend910B4", Chip::a2},
        {"Ascend910B4-1", Chip::a2},     {"Ascend910_9391", Chip::a3},    {"Ascend910_9392", Chip::a3},
        {"Ascend910_9381", Chip::a3},    {"Ascend910_9372", Chip::a3},    {"Ascend910_9362", Chip::a3},
        {"Ascend950PR_9579", Chip::a5},  {"Ascend950DT_9591", Chip::a5}};
    const auto found = chips.find(profile.soc);
    if (found == chips.end()) breach("there is no profile of '%s'", profile.soc.c_str());
    profile.chip = found->second;
}

static Profile read() {
    Profile profile;
    if (const std::string soc = text("ASCEND_EMULATOR_SOC"); !soc.empty()) profile.soc = soc;
    findChip(profile);
    profile.devices = (int)number("ASCEND_EMULATOR_DEVICES", 1);
    profile.memory = number("ASCEND_EMULATOR_MEMORY", profile.memory);
    profile.generation = (int)number("ASCEND_EMULATOR_GENERATION", 8);
    profile.captures = number("ASCEND_EMULATOR_CAPTURES", profile.captures);
    profile.seed = number("ASCEND_EMULATOR_SEED", 1);
    profile.delay = (uint32_t)number("ASCEND_EMULATOR_DELAY", 20);
    profile.isLenient = number("ASCEND_EMULATOR_LENIENT", 0) != 0;
    profile.faults = text("ASCEND_EMULATOR_FAULTS");
    profile.faultsFile = text("ASCEND_EMULATOR_FAULTS_FILE");
    profile.trace = text("ASCEND_EMULATOR_TRACE");
    profile.unsupported = list("ASCEND_EMULATOR_UNSUPPORTED");
    profile.flaws = list("ASCEND_EMULATOR_FLAWS");
    for (const std::string &flaw : profile.flaws) {
        if (flaw != "hstu-mask" && flaw != "hstu-fault" && flaw != "dense-fault") breach("there is no flaw '%s'", flaw.c_str());
    }
    return profile;
}

static Profile &current() {
    static Profile profile = read();
    return profile;
}

const Profile &profile() { return current(); }

void setChip(const std::string &soc) {
    current().soc = soc;
    findChip(current());
}

}  // namespace emulator
