#pragma once
// The opcodes of pickles of tensors. Source: pickletools in Python's library.

namespace coat::pickle_op {

inline constexpr unsigned char kMark = '(';
inline constexpr unsigned char kStop = '.';
inline constexpr unsigned char kNone = 'N';
inline constexpr unsigned char kTrue = 0x88;
inline constexpr unsigned char kFalse = 0x89;
inline constexpr unsigned char kInteger1 = 'K';
inline constexpr unsigned char kInteger2 = 'M';
inline constexpr unsigned char kInteger4 = 'J';
inline constexpr unsigned char kLong1 = 0x8a;
inline constexpr unsigned char kFloat = 'G';
inline constexpr unsigned char kText1 = 0x8c;
inline constexpr unsigned char kText4 = 'X';
inline constexpr unsigned char kBytes1 = 'C';
inline constexpr unsigned char kBytes4 = 'B';
inline constexpr unsigned char kEmptyTuple = ')';
inline constexpr unsigned char kTuple1 = 0x85;
inline constexpr unsigned char kTuple2 = 0x86;
inline constexpr unsigned char kTuple3 = 0x87;
inline constexpr unsigned char kTuple = 't';
inline constexpr unsigned char kEmptyList = ']';
inline constexpr unsigned char kAppend = 'a';
inline constexpr unsigned char kAppends = 'e';
inline constexpr unsigned char kEmptyDict = '}';
inline constexpr unsigned char kSetItem = 's';
inline constexpr unsigned char kSetItems = 'u';
inline constexpr unsigned char kPut1 = 'q';
inline constexpr unsigned char kPut4 = 'r';
inline constexpr unsigned char kMemoize = 0x94;
inline constexpr unsigned char kGet1 = 'h';
inline constexpr unsigned char kGet4 = 'j';
inline constexpr unsigned char kProtocol = 0x80;
inline constexpr unsigned char kFrame = 0x95;
inline constexpr unsigned char kGlobal = 'c';
inline constexpr unsigned char kStackGlobal = 0x93;
inline constexpr unsigned char kReduce = 'R';
inline constexpr unsigned char kBuild = 'b';
inline constexpr unsigned char kPersistent = 'Q';

}  // namespace coat::pickle_op
