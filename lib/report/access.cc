#include "report/access.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/verdict_json.h"
#include "report/verdict_text.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

std::string_view PeerName(ExposureRow::Peer peer) {
  switch (peer) {
    case ExposureRow::Peer::kAnyone:
      return "anyone";
    case ExposureRow::Peer::kAnyIdentity:
      return "any_identity";
    case ExposureRow::Peer::kNamed:
      return "named";
  }
  return "";
}

Json TextsJson(const std::vector<std::string>& texts) {
  Json out = Json::MakeArray();
  for (const std::string& text : texts) out.Append(text);
  return out;
}

Json RuleRef(const RbacPolicy& rule) {
  Json out = Json::MakeObject({{"policy", ObjectJson(rule.origin.object)}});
  out.Set("rule", RuleJson(rule.origin));
  out.Set("location", LocationJson(PlaceOf(rule.origin)));
  return out;
}

std::string RuleName(const RbacPolicy& rule) {
  if (rule.origin.object == nullptr) return rule.name;
  std::string text = NameText(*rule.origin.object);
  if (rule.origin.rule >= 0) text += " rule " + std::to_string(rule.origin.rule);
  return text;
}

std::string PortTitle(const PortAccess& port) {
  std::string name = port.workload->ns + "/" + port.workload->name;
  return name + ":" + (port.other_ports ? "*" : std::to_string(port.exposure.port));
}

// One row in words, a cell each.
struct Words {
  std::string who, methods, hosts, paths, conditions, except, rules;
};

std::string OrAny(const std::vector<std::string>& texts) {
  return texts.empty() ? "any" : Join(texts, ", ");
}

Words WordsOf(const ExposureRow& row) {
  Words words;
  std::vector<std::string> who;
  switch (row.peer) {
    case ExposureRow::Peer::kAnyone:
      who.emplace_back(row.from.empty() ? "anyone" : "anyone: " + Join(row.from, ", "));
      break;
    case ExposureRow::Peer::kAnyIdentity:
      who.emplace_back(row.from.empty() ? "any mesh identity"
                                        : "any mesh identity: " + Join(row.from, ", "));
      break;
    case ExposureRow::Peer::kNamed:
      who.push_back(row.from.empty() ? "some mesh identities" : Join(row.from, ", "));
      break;
  }
  if (row.token) {
    who.push_back(row.issuers.empty() ? "with a token"
                                      : "with a token of " + Join(row.issuers, " or "));
  }
  if (!row.custom.empty()) who.push_back("if " + Join(row.custom, " and ") + " agrees");
  words.who = Join(who, "; ");
  words.methods = row.http ? OrAny(row.methods) : "(bytes)";
  words.hosts = OrAny(row.hosts);
  words.paths = OrAny(row.paths);
  words.conditions = Join(row.conditions, "; ");
  if (!row.destination.empty()) {
    words.conditions += (words.conditions.empty() ? "to " : "; to ") + row.destination;
  }
  std::vector<std::string> except;
  for (const auto& exception : row.except) {
    except.push_back(exception.text + " (" + RuleName(*exception.rule) + ")");
  }
  words.except = Join(except, "; ");
  std::vector<std::string> rules;
  for (const RbacPolicy* rule : row.rules) rules.push_back(RuleName(*rule));
  words.rules = rules.empty() ? "no ALLOW policy" : Join(rules, ", ");
  return words;
}

constexpr std::array<const char*, 7> kColumns = {"WHO", "METHODS", "HOSTS", "PATHS",
                                                 "IF",  "EXCEPT",  "BY"};
std::array<std::string, 7> Cells(const ExposureRow& row) {
  Words words = WordsOf(row);
  return {words.who,        words.methods, words.hosts, words.paths,
          words.conditions, words.except,  words.rules};
}

std::string Summary(const PortAccess& port) {
  std::vector<std::string> parts;
  if (!port.protocol.empty()) parts.push_back(port.protocol);
  if (!port.mtls.empty()) parts.push_back("mTLS " + port.mtls);
  if (port.workload->mode == ProxyMode::kNone) parts.emplace_back("no proxy");
  if (port.other_ports) parts.emplace_back("every other port");
  return parts.empty() ? "" : " (" + Join(parts, ", ") + ")";
}

std::string EscapeCell(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string CsvCell(const std::string& text) {
  if (text.find_first_of("\",\n") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace

Json ExampleJson(const Example* example) {
  if (example == nullptr) return nullptr;
  Json out = Json::MakeObject();
  out.Set("request", CaseToJson(example->request));
  out.Set("verdict", VerdictJson(example->verdict));
  out.Set("curl", CurlText(example->request));
  return out;
}

std::string ExampleText(const Example& example) {
  return QuestionText(example.request) + "  ->  " + VerdictLine(example.verdict);
}

Json AccessJson(const std::vector<PortAccess>& ports) {
  Json workloads = Json::MakeArray();
  for (const PortAccess& port : ports) {
    Json rows = Json::MakeArray();
    for (const ExposureRow& row : port.exposure.rows) {
      Json needs = Json::MakeObject({{"peer", PeerName(row.peer)}});
      needs.Set("jwt",
                row.token ? Json::MakeObject({{"issuers", TextsJson(row.issuers)}}) : Json());
      needs.Set("custom", TextsJson(row.custom));
      Json except = Json::MakeArray();
      for (const auto& exception : row.except) {
        Json one = RuleRef(*exception.rule);
        one.Set("text", exception.text);
        except.Append(std::move(one));
      }
      Json rules = Json::MakeArray();
      for (const RbacPolicy* rule : row.rules) rules.Append(RuleRef(*rule));
      Json out = Json::MakeObject({{"needs", std::move(needs)}});
      out.Set("protocol", row.http ? "http" : "tcp");
      out.Set("from", TextsJson(row.from));
      out.Set("methods", TextsJson(row.methods));
      out.Set("hosts", TextsJson(row.hosts));
      out.Set("paths", TextsJson(row.paths));
      out.Set("conditions", TextsJson(row.conditions));
      out.Set("except", std::move(except));
      out.Set("rules", std::move(rules));
      out.Set("via", TextsJson(port.via));
      out.Set("destination", row.destination.empty() ? Json() : Json(row.destination));
      out.Set("witness", ExampleJson(row.example.get()));
      rows.Append(std::move(out));
    }
    Json entry = Json::MakeObject();
    entry.Set("object", ObjectJson(port.workload->object));
    entry.Set("port", port.other_ports ? Json() : Json(port.exposure.port));
    entry.Set("protocol", port.protocol.empty() ? Json() : Json(port.protocol));
    entry.Set("mtls", port.mtls.empty() ? Json() : Json(port.mtls));
    entry.Set("complete", port.exposure.complete);
    entry.Set("reason", port.exposure.reason.empty() ? Json() : Json(port.exposure.reason));
    entry.Set("rows", std::move(rows));
    workloads.Append(std::move(entry));
  }
  return Json::MakeObject({{"version", 1}, {"workloads", std::move(workloads)}});
}

namespace {

// "gateway (host /a)", "gateway (host /b)" as "gateway (host /a, host /b)".
std::string ViaText(const std::vector<std::string>& via) {
  std::vector<std::pair<std::string, std::vector<std::string>>> gateways;
  for (const std::string& way : via) {
    size_t open = way.find(" (");
    std::string gateway = way.substr(0, open);
    if (gateways.empty() || gateways.back().first != gateway) gateways.push_back({gateway, {}});
    if (open != way.npos) {
      gateways.back().second.push_back(way.substr(open + 2, way.size() - open - 3));
    }
  }
  std::vector<std::string> texts;
  for (const auto& [gateway, ways] : gateways) {
    texts.push_back(ways.empty() ? gateway : gateway + " (" + Join(ways, ", ") + ")");
  }
  return Join(texts, ", ");
}

}  // namespace

namespace {

std::string PortText(const PortAccess& port, const Style& style) {
  std::string out = style.Bold(PortTitle(port)) + Summary(port) + "\n";
  if (!port.via.empty()) out += "  from outside by " + ViaText(port.via) + "\n";
  const auto& rows = port.exposure.rows;
  if (rows.empty() && port.exposure.complete) out += "  " + style.Good("nothing gets in") + "\n";
  std::vector<std::array<std::string, 7>> table;
  std::array<size_t, 7> width{};
  std::array<bool, 7> shown{};  // a column that says nothing in any row is left out
  for (const ExposureRow& row : rows) {
    table.push_back(Cells(row));
    for (size_t i = 0; i < width.size(); ++i) {
      const std::string& cell = table.back()[i];
      width[i] = std::max(width[i], cell.size());
      shown[i] = shown[i] || (!cell.empty() && cell != "any");
    }
  }
  auto line = [&](const auto& cells) {
    std::string text = " ";
    for (size_t i = 0; i < width.size(); ++i) {
      if (!shown[i]) continue;
      std::string cell(cells[i]);
      cell.resize(std::max(width[i], std::string_view(kColumns[i]).size()), ' ');
      text += " " + cell + " ";
    }
    while (text.ends_with(' ')) text.pop_back();
    return text + "\n";
  };
  if (!table.empty()) out += style.Dim(line(kColumns));
  for (const auto& cells : table) out += line(cells);
  if (!port.exposure.complete) {
    out += "  " + style.Unsure("not complete: ") + port.exposure.reason + "\n";
  }
  return out;
}

}  // namespace

std::string AccessText(const std::vector<PortAccess>& ports, const Style& style) {
  return TextOfEach(ports.size(), [&](size_t i, std::string* text) {
    if (i > 0) *text += "\n";
    *text += PortText(ports[i], style);
  });
}

std::string AccessCsv(const std::vector<PortAccess>& ports) {
  std::string out =
      "workload,port,protocol,mtls,complete,who,methods,hosts,paths,if,except,by,via\n";
  for (const PortAccess& port : ports) {
    auto lead = [&] {
      return CsvCell(port.workload->ns + "/" + port.workload->name) + "," +
             (port.other_ports ? "*" : std::to_string(port.exposure.port)) + "," + port.protocol +
             "," + port.mtls + "," + (port.exposure.complete ? "yes" : "no");
    };
    for (const ExposureRow& row : port.exposure.rows) {
      out += lead();
      for (const std::string& cell : Cells(row)) out += "," + CsvCell(cell);
      out += "," + CsvCell(Join(port.via, "; ")) + "\n";
    }
  }
  return out;
}

std::string AccessMarkdown(const std::vector<PortAccess>& ports) {
  std::string out;
  for (const PortAccess& port : ports) {
    if (!out.empty()) out += "\n";
    out += "### " + PortTitle(port) + Summary(port) + "\n\n";
    if (!port.via.empty()) out += "From outside by " + Join(port.via, ", ") + ".\n\n";
    if (port.exposure.rows.empty() && port.exposure.complete) out += "Nothing gets in.\n";
    if (!port.exposure.rows.empty()) {
      out +=
          "| Who | Methods | Hosts | Paths | If | Except | By |\n|---|---|---|---|---|---|---|\n";
    }
    for (const ExposureRow& row : port.exposure.rows) {
      out += "|";
      for (const std::string& cell : Cells(row)) out += " " + EscapeCell(cell) + " |";
      out += "\n";
    }
    if (!port.exposure.complete) out += "\nNot complete: " + port.exposure.reason + ".\n";
  }
  return out;
}

}  // namespace meshproof
