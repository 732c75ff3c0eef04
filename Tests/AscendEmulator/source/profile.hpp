// What is emulated, read once from the environment:
//
//   ASCEND_EMULATOR_SOC          Ascend910B3 (default) or Ascend310P3
//   ASCEND_EMULATOR_DEVICES      how many; default 1
//   ASCEND_EMULATOR_MEMORY       bytes of device memory; default 2 GiB
//   ASCEND_EMULATOR_GENERATION   8 (default) or 9: which version calls answer
//   ASCEND_EMULATOR_SEED         of the streams' delays; default 1
//   ASCEND_EMULATOR_DELAY        microseconds that a task is delayed on average; default 20
//   ASCEND_EMULATOR_LENIENT      1: a copy's kind is corrected from its addresses, as new drivers do
//   ASCEND_EMULATOR_UNSUPPORTED  operators without a kernel, by name: LayerNorm,Topk
//   ASCEND_EMULATOR_FAULTS       see faults.hpp
//   ASCEND_EMULATOR_FAULTS_FILE  a file of one line of them, counted from when it is seen, and then removed
//   ASCEND_EMULATOR_FLAWED       1: the fused attention forgets its mask
//   ASCEND_EMULATOR_TRACE        a file that receives one line a call

#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

namespace emulator {

struct Profile {
    std::string soc = "Ascend910B3";
    int devices = 1;
    size_t memory = size_t(2) << 30;
    int generation = 8;
    uint64_t seed = 1;
    uint32_t delay = 20;
    bool isLenient = false;
    bool isFlawed = false;
    std::set<std::string> unsupported;
    std::string faults;
    std::string faultsFile;
    std::string trace;

    /// Atlas A2: bf16, float32 products, scatters.
    bool isA2() const { return soc.rfind("Ascend910B", 0) == 0; }
    bool is310P() const { return soc.rfind("Ascend310P", 0) == 0; }
    /// How many events there are.
    size_t eventLimit() const { return is310P() ? 1023 : 65536; }
    /// How many streams a device has.
    size_t streamLimit() const { return is310P() ? 1024 : 1984; }
};

const Profile &profile();
/// Makes the profile another chip's.
void setChip(const std::string &soc);

}  // namespace emulator
