#pragma once
// What stands under a name of the file system, and the changes of names that a crash-safe save is made of, besides
// those of base/file_system.h. Each throws IoError with the path and the system's reason.

#include <string>
#include <vector>

namespace coat {

/// What a path is itself, a symbolic link not followed.
enum class PathKind { kMissing, kFile, kFolder, kLink, kOther };
PathKind KindOf(const std::string& path);

/// The names in a folder, in byte order, without "." and "..".
std::vector<std::string> ListFolder(const std::string& path);

/// Makes a folder; it must not exist.
void MakeFolder(const std::string& path);

/// Exchanges the names of two things in one step. False, with nothing changed, where the file system cannot.
bool ExchangeNames(const std::string& a, const std::string& b);

/// Gives the folder `from` the name `to`. What has that name already, if it is a folder, is then called `from`, or
/// `aside` where the file system cannot exchange names; if this throws, it has kept its name.
void TakeFolderName(const std::string& from, const std::string& to, const std::string& aside);

/// Removes a file, a link or a folder with all that is in it; links are not followed. One that is missing is fine.
void RemoveTree(const std::string& path);

/// Makes `link` a symbolic link to `target`, replacing the one that was there in one step.
void ReplaceLink(const std::string& target, const std::string& link);

}  // namespace coat
