// The headers that nearly every file includes, precompiled (Makefile). Files still include what they use.

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
