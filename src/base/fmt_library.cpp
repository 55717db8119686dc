// The compiled part of fmt, which Debian has as a shared library only: programs must run where it is not installed.

#include <fmt/format-inl.h>

// Templates that fmt's headers declare as compiled elsewhere.
namespace fmt {
inline namespace v9 {
namespace detail {
template thousands_sep_result<char> thousands_sep_impl(locale_ref);
template char decimal_point_impl(locale_ref);
template void buffer<char>::append(const char*, const char*);
template void vformat_to(buffer<char>&, string_view, basic_format_args<buffer_context<char>>, locale_ref);
}  // namespace detail
}  // namespace v9
}  // namespace fmt
