//! All that can be said of a state, in words.

use super::matrix::Detection;
use std::fmt::Write;

/// So many circles are told of.
const TOLD: usize = 8;

impl Detection {
    /// The steps, the circles of waiting, the four conditions and the verdict, as lines of text.
    pub fn report(&self) -> String {
        let state = self.state();
        let mut text = format!("{self}\n\n");
        let cycles = state.cycles();
        for cycle in cycles.iter().take(TOLD) {
            text += "circle of waiting: ";
            text += &cycle.describe(state);
            text += "\n";
        }
        match cycles.len() {
            0 => text += "no circle of waiting: without one there is no deadlock\n",
            n if n > TOLD => text += &format!("and {} more circles\n", n - TOLD),
            _ if !state.has_single_instances() => {
                text += "resources have several instances: a circle is necessary for a deadlock, not sufficient\n";
            }
            _ if self.is_deadlocked() => text += "there is one instance of each resource: a circle is a deadlock\n",
            _ => text += "there is one instance of each resource, but nobody waits for ever for one in the circle\n",
        }
        text += "\nCoffman's conditions\n";
        for finding in state.conditions() {
            let verb = if finding.holds { "holds" } else { "missing" };
            let _ = writeln!(text, "  {:<16}  {verb:<7}  {}", finding.condition.name(), finding.witness); // a String takes all
        }
        text += &state.conditions_verdict();
        text
    }
}
