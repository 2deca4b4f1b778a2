//! The chain and the fan: n processes from one loop of `fork`. In a chain the child goes on in the loop, so each process
//! is the parent of the next; in a fan the parent goes on, so all are its children.
//!
//!     family        makes both, four processes each, and draws them

use triveni::Result;
use triveni::kernel::{Family, chain, fan};

fn show(what: &str, family: &Family) -> Result<()> {
    let tree = family.tree()?;
    print!("{tree}");
    println!("{what}: {} processes, {} steps below this one", family.members().len(), tree.depth());
    Ok(())
}

fn main() -> Result<()> {
    show("chain", &chain(4)?)?; // they end when the family is dropped
    show("fan", &fan(4)?)
}
