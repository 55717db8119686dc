#pragma once
// The few file system calls that a crash-safe save is made of. Each throws IoError with the path and the system's
// reason. A change of names lasts through a power failure only after SyncDirectory of the folder that holds them.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace coat {

/// "cannot {action} {path}: {what the system says about error_number}".
IoError SystemError(std::string_view action, const std::string& path, int error_number);

/// What a path is itself, a symbolic link not followed.
enum class PathKind { kMissing, kFile, kDirectory, kLink, kOther };
PathKind KindOf(const std::string& path);

/// The names in a folder, in byte order, without "." and "..".
std::vector<std::string> ListDirectory(const std::string& path);

/// Makes a folder; it must not exist.
void MakeDirectory(const std::string& path);

/// Makes a folder and those above it; one that exists is fine.
void MakeDirectories(const std::string& path);

/// Puts the names in a folder on the disk.
void SyncDirectory(const std::string& path);

/// Gives `from` the name `to`, in one step. An empty folder or a link at `to` is replaced, a folder with content is
/// not.
void Rename(const std::string& from, const std::string& to);

/// Exchanges the names of two things in one step. False, with nothing changed, where the file system cannot.
bool ExchangeNames(const std::string& a, const std::string& b);

/// Removes a file, a link or a folder with all that is in it; links are not followed. One that is missing is fine.
void RemoveTree(const std::string& path);

/// Makes `link` a symbolic link to `target`, replacing the one that was there in one step.
void ReplaceLink(const std::string& target, const std::string& link);

}  // namespace coat
