# Writes OUT: a table of all rules, made of the pages in PAGES and the functions in FUNCTIONS. A page
# `rules/some-slug.md` belongs to the function `some_slug::Check` in `lib/analyze/rules/some_slug.cc`.
cmake_minimum_required(VERSION 3.25)
file(GLOB pages ${PAGES}/*.md)
file(GLOB functions ${FUNCTIONS}/*.cc)
list(FILTER functions EXCLUDE REGEX "_test\\.cc$")
set(slugs "")
foreach(page ${pages})
  get_filename_component(slug ${page} NAME_WE)
  list(APPEND slugs ${slug})
endforeach()
list(SORT slugs)
foreach(function ${functions})
  get_filename_component(name ${function} NAME_WE)
  string(REPLACE "_" "-" slug ${name})
  if(NOT slug IN_LIST slugs)
    message(FATAL_ERROR "${function} has no page rules/${slug}.md")
  endif()
endforeach()
set(declarations "")
set(rows "")
foreach(slug ${slugs})
  string(REPLACE "-" "_" name ${slug})
  if(NOT EXISTS ${FUNCTIONS}/${name}.cc)
    message(FATAL_ERROR "rules/${slug}.md has no function lib/analyze/rules/${name}.cc")
  endif()
  file(READ ${PAGES}/${slug}.md text)
  string(APPEND declarations
    "namespace ${name} {\nvoid Check(const Analysis&, Reporter&);\n}\n")
  string(APPEND rows "    {\"${slug}\", R\"page~(${text})page~\", &${name}::Check},\n")
endforeach()
file(WRITE ${OUT}.new "// Made by lib/analyze/rule_table.cmake.
#include \"analyze/rule_table.h\"

namespace meshproof {

${declarations}
std::span<const RulePage> RulePages() {
  static const RulePage kPages[] = {
${rows}  };
  return kPages;
}

}  // namespace meshproof
")
file(COPY_FILE ${OUT}.new ${OUT})
