#include "comm/agreement.h"

#include <algorithm>
#include <new>

#include "base/error.h"

namespace coat {

namespace {

constexpr char kSuccess = '+';
constexpr char kForAll = '*';

char LetterOf(const std::exception& error) {
  if (dynamic_cast<const UsageError*>(&error) != nullptr) return 'U';
  if (dynamic_cast<const ConfigError*>(&error) != nullptr) return 'C';
  if (dynamic_cast<const IoError*>(&error) != nullptr) return 'I';
  if (dynamic_cast<const ArgumentError*>(&error) != nullptr) return 'A';
  if (dynamic_cast<const TrainingError*>(&error) != nullptr) return 'T';
  return 'E';
}

template <class Thrown>
[[noreturn]] void ThrowAs(const std::string& message) {
  Thrown error(message);
  error.is_of_all_ranks = true;
  throw error;
}

[[noreturn]] void Throw(char letter, const std::string& message) {
  switch (letter) {
    case 'U':
      ThrowAs<UsageError>(message);
    case 'C':
      ThrowAs<ConfigError>(message);
    case 'I':
      ThrowAs<IoError>(message);
    case 'A':
      ThrowAs<ArgumentError>(message);
    case 'T':
      ThrowAs<TrainingError>(message);
    default:
      ThrowAs<Error>(message);
  }
}

}  // namespace

void Agreement::Try(const std::function<void()>& work) {
  if (ranks_.size() == 1) {
    work();
    return;
  }
  if (!failure_.empty()) return;
  try {
    work();
  } catch (const CommError&) {
    throw;
  } catch (const std::bad_alloc& error) {
    failure_ = LetterOf(error) + std::string(kOutOfMemory);
  } catch (const std::exception& error) {
    failure_ = LetterOf(error) + std::string(error.what());
  }
}

void Agreement::TryForAll(const std::function<void()>& work) {
  if (ranks_.rank() != 0) return;
  const bool had_failure = !failure_.empty();
  Try(work);
  if (!had_failure && !failure_.empty()) failure_.insert(0, 1, kForAll);
}

std::vector<std::string> Agreement::Meet(const std::string& text) {
  if (ranks_.size() == 1) return {text};
  std::vector<std::string> texts = ranks_.AllGatherText(failure_.empty() ? kSuccess + text : failure_);
  const auto failed = [](const std::string& found) { return found.front() != kSuccess; };
  const auto first = std::find_if(texts.begin(), texts.end(), failed);
  if (first == texts.end()) {
    for (std::string& found : texts) found.erase(0, 1);
    return texts;
  }
  if (first->front() == kForAll) Throw((*first)[1], first->substr(2));
  const std::string message = first->substr(1);
  if (std::count(texts.begin(), texts.end(), *first) == ranks_.size()) Throw(first->front(), message);
  const auto others = std::count_if(first + 1, texts.end(), failed);
  Throw(first->front(),
        fmt::format("rank {}: {}{}", first - texts.begin(), message,
                    others == 0 ? "" : fmt::format(" (and {} other rank{} failed)", others, others == 1 ? "" : "s")));
}

void Together(Communicator& ranks, const std::function<void()>& work) {
  Agreement agreement(ranks);
  agreement.Try(work);
  agreement.Meet();
}

}  // namespace coat
