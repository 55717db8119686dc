#pragma once

#include <string_view>

namespace coat {

/// Where the data goes in the template, as the content of an element <script type="application/json">.
inline constexpr std::string_view kReportDataMark = "{{data}}";

/// The page of src/report/page, all parts in one; the build makes a source of it (cmake/CoatEmbedPage.cmake).
std::string_view ReportTemplate();

}  // namespace coat
