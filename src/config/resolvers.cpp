#include "config/resolvers.h"

#include <fmt/core.h>
#include <glob.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "config/nearest.h"
#include "config/scalar.h"

namespace coat {

namespace {

struct Call {
  std::string_view name;
  std::span<const Node> arguments;
  const std::string& where;
  bool check_paths;

  [[noreturn]] void Fail(const std::string& what) const {
    throw ConfigError(fmt::format("{}: ${{{}}}: {}", where, name, what));
  }
  void RequireArguments(std::size_t least, std::size_t most) const {
    if (arguments.size() >= least && arguments.size() <= most) return;
    const std::string accepted = least == most  ? fmt::format("{}", least)
                                 : most > kMany ? fmt::format("{} or more", least)
                                                : fmt::format("{} or {}", least, most);
    Fail(fmt::format("{} arguments; accepted: {}", arguments.size(), accepted));
  }
  std::string Text(std::size_t i) const {
    const Node& node = arguments[i];
    if (node.kind != Node::Kind::kScalar)
      Fail(fmt::format("argument {} is {}; accepted: a text", i + 1, Describe(node)));
    return node.text;
  }
  static constexpr std::size_t kMany = 100;
  static constexpr std::size_t kAny = static_cast<std::size_t>(-1);
};

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

void AppendMatches(const std::string& pattern, const Call& call, Node& list) {
  struct Matches : glob_t {
    Matches() : glob_t{} {}
    ~Matches() { globfree(this); }
  };
  Matches matches;
  const int error = glob(pattern.c_str(), 0, nullptr, &matches);
  if (error != 0 && error != GLOB_NOMATCH) call.Fail(fmt::format("cannot search for {}", pattern));
  if (matches.gl_pathc == 0 && call.check_paths) call.Fail(fmt::format("no file matches {}", pattern));
  for (std::size_t i = 0; i < matches.gl_pathc; ++i) list.items.push_back(Node::Scalar(matches.gl_pathv[i], true));
}

Node Glob(const Call& call) {
  call.RequireArguments(1, Call::kAny);
  Node list = Node::Sequence();
  for (std::size_t i = 0; i < call.arguments.size(); ++i) AppendMatches(call.Text(i), call, list);
  return list;
}

Node Choose(const Call& call) {
  call.RequireArguments(1, Call::kAny);
  std::string tried;
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    const std::string path = call.Text(i);
    if (IsUrl(path) || Exists(path)) return Node::Scalar(path, true);
    tried += (i == 0 ? "" : ", ") + path;
  }
  if (call.check_paths) call.Fail(fmt::format("none of these exists: {}", tried));
  return Node::Scalar(call.Text(0), true);
}

/// N of "stepN" or "stepN-unsharded".
std::optional<std::int64_t> StepOf(std::string name) {
  constexpr std::string_view kPrefix = "step";
  constexpr std::string_view kSuffix = "-unsharded";
  if (name.rfind(kPrefix, 0) != 0) return std::nullopt;
  name.erase(0, kPrefix.size());
  if (name.size() > kSuffix.size() && name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0) {
    name.resize(name.size() - kSuffix.size());
  }
  if (name.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return ParseInteger(name);
}

Node LastCheckpoint(const Call& call) {
  call.RequireArguments(1, 1);
  const std::string folder = call.Text(0);
  std::string latest;
  std::int64_t latest_step = -1;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored)) continue;
    const std::string path = it->path().string();
    const std::optional<std::int64_t> step = StepOf(it->path().filename().string());
    if (!step || *step < latest_step || (*step == latest_step && path > latest)) continue;
    latest_step = *step;
    latest = path;
  }
  if (latest.empty() && call.check_paths) call.Fail(fmt::format("no checkpoint in {}", folder));
  return Node::Scalar(latest.empty() ? folder : latest, true);
}

Node CheckExist(const Call& call) {
  call.RequireArguments(1, 1);
  return Exists(call.Text(0)) ? Node::Scalar(call.Text(0), true) : Node::Null();
}

Node Environment(const Call& call) {
  call.RequireArguments(1, 2);
  const std::string name = call.Text(0);
  if (const char* const value = std::getenv(name.c_str())) return Node::Scalar(value, true);
  if (call.arguments.size() == 1) {
    call.Fail(fmt::format("the environment has no {}; accepted: ${{oc.env:{},default}}", name, name));
  }
  return call.arguments[1];
}

struct Resolver {
  std::string_view name;
  Node (*call)(const Call&);
};

constexpr std::array<Resolver, 5> kResolvers = {{{"path.glob", Glob},
                                                 {"path.choose", Choose},
                                                 {"path.last_checkpoint", LastCheckpoint},
                                                 {"path.check_exist", CheckExist},
                                                 {"oc.env", Environment}}};

}  // namespace

bool IsUrl(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0) return false;
  return text.substr(0, scheme).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string_view::npos;
}

Node Resolve(std::string_view name, std::span<const Node> arguments, const std::string& where, bool check_paths) {
  const Call call = {name, arguments, where, check_paths};
  std::vector<std::string> names;
  for (const Resolver& resolver : kResolvers) {
    if (resolver.name == name) return resolver.call(call);
    names.emplace_back(resolver.name);
  }
  call.Fail(fmt::format("no such resolver; {}", DidYouMean(name, names)));
}

}  // namespace coat
