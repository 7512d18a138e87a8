//! Small changes to the parsed template.
//!
//! Every action that prints gets a last function of ours, because the engine writes a large float
//! as `1000000` where Go writes `1e+06` (every number of an event is a float).

use gotmpl::parse::{ActionNode, CommandNode, Expr, ListNode, Node};

use super::{END_MARK, NAME, TemplateError};

/// Name of the function that shows a value. No template can name it: it is no identifier.
pub(super) const SHOW: &str = "show value";

/// The template with all of its parts rewritten.
pub(super) fn rewritten(template: gotmpl::Template) -> Result<gotmpl::Template, TemplateError> {
    let names: Vec<String> = template
        .templates()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut template = template;
    for name in names {
        let Some(tree) = template.lookup(&name) else {
            continue;
        };
        let mut tree = tree.clone();
        if name == NAME && !take_end_mark(&mut tree) {
            let reason = "unexpected {{end}} or {{else}}: not all of the text was read";
            return Err(TemplateError::Parse(reason.to_owned()));
        }
        show_all(&mut tree);
        template = template.add_parse_tree(&name, tree);
    }
    Ok(template)
}

/// Removes the mark from the end of the text; false when it was not read.
fn take_end_mark(tree: &mut ListNode) -> bool {
    match tree.nodes.last_mut() {
        Some(Node::Text(last)) => match last.text.strip_suffix(END_MARK) {
            Some(text) => {
                last.text = text.into();
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn show_all(list: &mut ListNode) {
    for node in &mut list.nodes {
        match node {
            Node::List(list) => show_all(list),
            Node::Action(action) => show(action),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                show_all(&mut branch.body);
                if let Some(list) = &mut branch.else_body {
                    show_all(list);
                }
            }
            Node::Define(define) => show_all(&mut define.body),
            Node::Text(_) | Node::Template(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
}

fn show(action: &mut ActionNode) {
    // A declaration prints nothing.
    if action.pipe.decl.is_empty() {
        let pos = action.pipe.pos;
        let show = Expr::Identifier(pos, SHOW.into());
        action.pipe.commands.push(CommandNode {
            pos,
            args: vec![show],
        });
    }
}
