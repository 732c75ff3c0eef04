// The emulated hardware and software, read once from the environment:
//
//   ASCEND_EMULATOR_SOC          Ascend910B3 (default) or another of those in profile.cpp
//   ASCEND_EMULATOR_DEVICES      the number of devices; default 1
//   ASCEND_EMULATOR_MEMORY       bytes of device memory; default 2 GiB
//   ASCEND_EMULATOR_GENERATION   8 (default) or 9: the version that calls report
//   ASCEND_EMULATOR_SEED         seed of the streams' delays; default 1
//   ASCEND_EMULATOR_DELAY        microseconds that a task is delayed on average; default 20
//   ASCEND_EMULATOR_LENIENT      1: a copy's kind is corrected from its addresses, as new drivers do
//   ASCEND_EMULATOR_UNSUPPORTED  operators without a kernel, by name: LayerNorm,Topk
//   ASCEND_EMULATOR_FAULTS       see faults.hpp
//   ASCEND_EMULATOR_FAULTS_FILE  a file with one line of faults, counted from its detection, after which it is removed
//   ASCEND_EMULATOR_FLAWS        faults of the fused attention: hstu-mask: it ignores its mask; hstu-fault: it ends in an
//                                exception of an AI core; dense-fault: the same for the dense operator only
//   ASCEND_EMULATOR_CAPTURES     the number of captured sequences for which a device has streams; default 1024
//   ASCEND_EMULATOR_TRACE        a file that receives one line per call

#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

namespace emulator {

/// Generations of chips: the first (910A; also "Ascend910B" without a number: CANN 8.1,
/// platform_config/Ascend910B.ini), 310P, Atlas A2 (910B1-910B4), Atlas A3 (910_93xx), 950.
enum class Chip { first, inference, a2, a3, a5 };

struct Profile {
    std::string soc = "Ascend910B3";
    int devices = 1;
    size_t memory = size_t(2) << 30;
    int generation = 8;
    uint64_t seed = 1;
    uint32_t delay = 20;
    bool isLenient = false;
    std::set<std::string> flaws;
    std::set<std::string> unsupported;
    std::string faults;
    std::string faultsFile;
    std::string trace;

    bool has(const std::string &flaw) const { return flaws.count(flaw) != 0; }
    size_t captures = 1024;
    Chip chip = Chip::a2;
    /// bf16, float32 products, scatters.
    bool isA2OrLater() const { return chip == Chip::a2 || chip == Chip::a3 || chip == Chip::a5; }
    bool is310P() const { return chip == Chip::inference; }
    /// The number of events.
    size_t eventLimit() const { return is310P() ? 1023 : 65536; }
    /// The number of streams of a device.
    size_t streamLimit() const { return is310P() ? 1024 : 1984; }
};

const Profile &profile();
/// Replaces the profile by another chip's.
void setChip(const std::string &soc);

}  // namespace emulator
