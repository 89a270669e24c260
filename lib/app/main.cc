// meshproof COMMAND [PATH...]: each command is a file of this folder and goes the same way:
//
//   the command line              cli.cc
//   .meshproof.yaml               settings.cc
//   files -> objects -> mesh      input.cc      (source, model, mesh)
//   the question                  can.cc, analyze.cc, test.cc, compile.cc, describe.cc,
//                                 graph.cc, explain.cc
//   the answer                    (proxy: what istiod compiles; simulate: what Envoy does with it;
//                                 analyze: the rules)
//   its words                     (report: one file for each format)

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "app/cli.h"

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  meshproof::Host host = meshproof::RealHost();
  std::vector<std::shared_ptr<const void>> kept;
  host.keep = [&](std::shared_ptr<const void> object) { kept.push_back(std::move(object)); };
  meshproof::Exit exit = meshproof::RunMeshproof(arguments, host);
  // A reader that went away, a full disk: what was printed is not the answer.
  host.out.flush();
  if (!host.out) exit = meshproof::Fail(host, {"the result could not be written"});
  host.err.flush();
  // A mesh takes longer to take apart than the system needs for it.
  std::_Exit(static_cast<int>(exit));
}
