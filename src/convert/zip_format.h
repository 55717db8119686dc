#pragma once
// The records of a zip archive, for its reader and its writer. Source: PKWARE's APPNOTE 6.3.

#include <cstddef>
#include <cstdint>

namespace coat::zip {

inline constexpr std::uint32_t kHeaderSignature = 0x04034b50;      // before an entry's bytes
inline constexpr std::uint32_t kDescriptorSignature = 0x08074b50;  // after them
inline constexpr std::uint32_t kEntrySignature = 0x02014b50;       // in the directory
inline constexpr std::uint32_t kEnd64Signature = 0x06064b50;
inline constexpr std::uint32_t kLocatorSignature = 0x07064b50;  // says where the zip64 end record is
inline constexpr std::uint32_t kEndSignature = 0x06054b50;

/// Bytes of each, without name, extra fields and comment.
inline constexpr std::size_t kHeaderSize = 30;
inline constexpr std::size_t kEntrySize = 46;
inline constexpr std::size_t kEnd64Size = 56;
inline constexpr std::size_t kLocatorSize = 20;
inline constexpr std::size_t kEndSize = 22;

inline constexpr std::uint64_t kIn64 = 0xffffffff;    // a number that the zip64 field has instead
inline constexpr std::uint64_t kZip64Field = 0x0001;  // an extra field
inline constexpr std::uint64_t kEncryptedFlag = 0x0001;
inline constexpr std::uint64_t kDescriptorFlag = 0x0008;
inline constexpr std::uint64_t kUtf8Flag = 0x0800;
inline constexpr std::uint64_t kVersion = 45;  // of the format, with zip64

}  // namespace coat::zip
