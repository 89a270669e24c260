#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/access.h"
#include "app/analyze.h"
#include "app/can.h"
#include "app/cert.h"
#include "app/compile.h"
#include "app/describe.h"
#include "app/diff.h"
#include "app/drift.h"
#include "app/graph.h"
#include "app/jwt.h"
#include "app/log.h"
#include "app/prove.h"
#include "app/test.h"

namespace meshproof {

// What a command line asks for: a command, a text to print (help, version), or nothing usable.
struct CommandLine {
  std::variant<std::monostate, AnalyzeCommandOptions, ExplainOptions, RulesOptions, CanOptions,
               TestOptions, CompileOptions, DescribeOptions, DriftOptions, GraphOptions,
               AccessOptions, DiffOptions, ProveOptions, JwtOptions, CertOptions, ExplainLogOptions,
               ReplayOptions>
      command;
  std::string text;   // to print on standard output; status 0
  std::string error;  // one line; status 2
};

// `arguments` without the program's name.
CommandLine ParseCommandLine(const std::vector<std::string>& arguments);

// In the order in which the help lists them.
std::vector<std::string> CommandNames();
// Every spelling ("--format", "-X") of a command's options.
std::vector<std::string> OptionNames(const std::string& command);

// Parses and runs.
Exit RunMeshproof(const std::vector<std::string>& arguments, const Host& host);

}  // namespace meshproof
