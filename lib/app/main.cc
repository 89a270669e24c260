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

#include <string>
#include <vector>

#include "app/cli.h"

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  meshproof::Host host = meshproof::RealHost();
  meshproof::Exit exit = meshproof::RunMeshproof(arguments, host);
  // A reader that went away, a full disk: what was printed is not the answer.
  host.out.flush();
  if (!host.out) exit = meshproof::Fail(host, {"the result could not be written"});
  return static_cast<int>(exit);
}
