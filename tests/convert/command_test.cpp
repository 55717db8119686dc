// `coat convert` as a user meets it: what it leaves beside OUT.

#include <set>
#include <string>

#include "tests/convert/model_folders.h"
#include "tests/support/coat_process.h"

namespace coat {
namespace {

class ConvertCommand : public ModelFolders {
 protected:
  ConvertCommand() { ExportToHf(Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo())), File("m-tmp"), {}); }
};

TEST_F(ConvertCommand, RemovesNothingThatItDidNotMake) {
  folder_.Write("m-replaced-tmp/notes.txt", "x");
  const std::set<std::string> before = NamesIn(File("m-tmp"));
  for (const char* const option : {"--to=coat", "--overwrite"}) {
    const Outcome outcome = RunCoat({"convert", File("m-tmp"), File("m"), option});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "m-tmp", "m-replaced-tmp", "m"}));
    EXPECT_EQ(NamesIn(File("m-tmp")), before);
    EXPECT_EQ(folder_.Read("m-replaced-tmp/notes.txt"), "x");
  }
}

}  // namespace
}  // namespace coat
