# Writes OUTPUT, a source that defines ReportTemplate(): FOLDER/report.html with each {{part}} of PARTS (a,b,c) replaced by
# the file of that name. cmake -D FOLDER=... -D PARTS=... -D OUTPUT=... -P.
file(READ ${FOLDER}/report.html page)
string(REPLACE "," ";" parts "${PARTS}")
foreach(part IN LISTS parts)
  if(NOT page MATCHES "{{${part}}}")
    message(FATAL_ERROR "${FOLDER}/report.html has no {{${part}}}")
  endif()
  file(READ ${FOLDER}/${part} content)
  string(REPLACE "{{${part}}}" "${content}" page "${page}")
endforeach()
file(WRITE ${OUTPUT}
  "#include \"report/page.h\"\n\nnamespace coat {\n\nstd::string_view ReportTemplate() {\n  return R\"coatpage("
  "${page}"
  ")coatpage\";\n}\n\n}  // namespace coat\n")
