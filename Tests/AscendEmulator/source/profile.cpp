#include "profile.hpp"

#include <cstdlib>
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

static void requireKnown(const Profile &profile) {
    if (!profile.isA2() && !profile.is310P()) breach("there is no profile of '%s'", profile.soc.c_str());
}

static Profile read() {
    Profile profile;
    if (const std::string soc = text("ASCEND_EMULATOR_SOC"); !soc.empty()) profile.soc = soc;
    requireKnown(profile);
    profile.devices = (int)number("ASCEND_EMULATOR_DEVICES", 1);
    profile.memory = number("ASCEND_EMULATOR_MEMORY", profile.memory);
    profile.generation = (int)number("ASCEND_EMULATOR_GENERATION", 8);
    profile.seed = number("ASCEND_EMULATOR_SEED", 1);
    profile.delay = (uint32_t)number("ASCEND_EMULATOR_DELAY", 20);
    profile.isLenient = number("ASCEND_EMULATOR_LENIENT", 0) != 0;
    profile.isFlawed = number("ASCEND_EMULATOR_FLAWED", 0) != 0;
    profile.faults = text("ASCEND_EMULATOR_FAULTS");
    profile.faultsFile = text("ASCEND_EMULATOR_FAULTS_FILE");
    profile.trace = text("ASCEND_EMULATOR_TRACE");
    std::istringstream names(text("ASCEND_EMULATOR_UNSUPPORTED"));
    for (std::string name; std::getline(names, name, ',');) profile.unsupported.insert(name);
    return profile;
}

static Profile &current() {
    static Profile profile = read();
    return profile;
}

const Profile &profile() { return current(); }

void setChip(const std::string &soc) {
    current().soc = soc;
    requireKnown(current());
}

}  // namespace emulator
