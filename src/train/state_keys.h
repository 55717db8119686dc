#pragma once
// What the parts of the trainer keep in TrainerState::extra.

namespace coat {

inline constexpr const char* kUpdates = "updates";                 // done since the moments began: AdamW's step
inline constexpr const char* kSkipped = "skipped_steps";           // of the whole run
inline constexpr const char* kSkippedInARow = "skipped_in_a_row";  // up to the last step
inline constexpr const char* kBoltOnStart = "bolt_on_start";       // where the schedule warms up again
inline constexpr const char* kEvaluationDue = "evaluation_due";    // after this step, and the run was stopped before it

}  // namespace coat
