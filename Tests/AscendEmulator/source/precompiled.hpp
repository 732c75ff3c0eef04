// What nearly every file includes, parsed once for all of them (Makefile). Files include what they use all the same.

#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>
#include <unordered_set>

#include "device.hpp"
#include "executor.hpp"
#include "functions.hpp"
