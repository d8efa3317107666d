//! The blocks `if`, `unless`, `each` and `with`. Those of handlebars take an unknown variable as false or as an empty
//! list; here it is an error, as everywhere else.

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson,
    RenderContext, RenderError, RenderErrorReason, Renderable, Template,
};
use serde_json::Value;

use super::{number, short, truthy};

/// What a block does with its parameter.
#[derive(Clone, Copy)]
enum Block {
    /// `if`, or `unless` with `false`.
    Choice(bool),
    Each,
    With,
}

const BLOCKS: [(&str, Block); 4] = [
    ("if", Block::Choice(true)),
    ("unless", Block::Choice(false)),
    ("each", Block::Each),
    ("with", Block::With),
];

/// Registers the blocks in place of those of handlebars.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    for (name, block) in BLOCKS {
        registry.register_helper(name, Box::new(block));
    }
}

fn wrong(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

/// The only parameter of a block, which must be a known variable.
fn parameter<'a, 'rc>(helper: &'a Helper<'rc>) -> Result<&'a PathAndJson<'rc>, RenderError> {
    let name = helper.name();
    if !helper.is_block() {
        return Err(wrong(format!(
            "`{name}` is a block: write `{{{{#{name} x}}}}...{{{{/{name}}}}}`"
        )));
    }
    let [parameter] = helper.params().as_slice() else {
        return Err(wrong(format!(
            "`{name}` takes 1 parameter, but has {}; a helper inside needs parentheses, as in \
             `{{{{#{name} (eq a b)}}}}`",
            helper.params().len()
        )));
    };
    let named = helper.hash().iter();
    for (key, value) in named {
        if !(*key == "includeZero" && matches!(name, "if" | "unless")) {
            return Err(wrong(format!("`{name}` has no named parameter `{key}`")));
        }
        known(value)?;
    }
    known(parameter)?;
    Ok(parameter)
}

/// Fails if a variable does not exist.
pub(super) fn known(parameter: &PathAndJson<'_>) -> Result<(), RenderError> {
    if parameter.is_value_missing() {
        return Err(RenderError::strict_error(parameter.relative_path()));
    }
    Ok(())
}

fn render<'reg: 'rc, 'rc>(
    template: Option<&'rc Template>,
    registry: &'reg Handlebars<'reg>,
    context: &'rc Context,
    render_context: &mut RenderContext<'reg, 'rc>,
    out: &mut dyn Output,
) -> HelperResult {
    template.map_or(Ok(()), |inner| {
        inner.render(registry, context, render_context, out)
    })
}

/// Renders the block itself, or what follows its `else`.
pub(super) fn branch<'reg: 'rc, 'rc>(
    is_chosen: bool,
    helper: &Helper<'rc>,
    registry: &'reg Handlebars<'reg>,
    context: &'rc Context,
    render_context: &mut RenderContext<'reg, 'rc>,
    out: &mut dyn Output,
) -> HelperResult {
    let template = if is_chosen {
        helper.template()
    } else {
        helper.inverse()
    };
    render(template, registry, context, render_context, out)
}

impl HelperDef for Block {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render_context: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let parameter = parameter(helper)?;
        let value = parameter.value();
        match self {
            Self::Choice(wanted) => {
                let zero = helper.hash_get("includeZero");
                let zero = zero.is_some_and(|zero| truthy(zero.value())) && number::value(value).is_some();
                let is_chosen = (zero || truthy(value)) == *wanted;
                branch(is_chosen, helper, registry, context, render_context, out)
            }
            Self::With if truthy(value) => {
                let mut block = enter(parameter);
                // As in handlebars.js, `@index` and the like of the surrounding block stay visible.
                if let Some(parent) = render_context.block() {
                    block.local_variables_mut().clone_from(parent.local_variables());
                }
                name_item(&mut block, helper, parameter, value, None)?;
                render_context.push_block(block);
                let done = render(helper.template(), registry, context, render_context, out);
                render_context.pop_block();
                done
            }
            Self::Each => {
                let items = items(value)?;
                if items.is_empty() {
                    return render(helper.inverse(), registry, context, render_context, out);
                }
                render_context.push_block(enter(parameter));
                let done = each(helper, parameter, &items, registry, context, render_context, out);
                render_context.pop_block();
                done
            }
            Self::With => render(helper.inverse(), registry, context, render_context, out),
        }
    }
}

/// The items of a list with their index, or of a mapping with their key. No value at all is an empty list.
fn items(value: &Value) -> Result<Vec<(Value, &Value)>, RenderError> {
    match value {
        Value::Array(list) => Ok(list
            .iter()
            .enumerate()
            .map(|(index, item)| (index.into(), item))
            .collect()),
        Value::Object(map) => Ok(map
            .iter()
            .map(|(key, item)| (key.as_str().into(), item))
            .collect()),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong(format!(
            "`each`: `{}` is neither a list nor a mapping",
            short(other)
        ))),
    }
}

fn each<'reg: 'rc, 'rc>(
    helper: &Helper<'rc>,
    parameter: &PathAndJson<'rc>,
    items: &[(Value, &Value)],
    registry: &'reg Handlebars<'reg>,
    context: &'rc Context,
    render_context: &mut RenderContext<'reg, 'rc>,
    out: &mut dyn Output,
) -> HelperResult {
    for (index, (key, item)) in items.iter().enumerate() {
        if let Some(block) = render_context.block_mut() {
            block.set_local_var("first", (index == 0).into());
            block.set_local_var("last", (index + 1 == items.len()).into());
            block.set_local_var("index", index.into());
            if key.is_string() {
                block.set_local_var("key", key.clone());
            }
            // By its path if it has one: no item of a large list is copied.
            match parameter.context_path() {
                Some(path) => {
                    let base = block.base_path_mut();
                    base.clone_from(path);
                    base.push(key.as_str().map_or_else(|| index.to_string(), str::to_owned));
                }
                None => block.set_base_value((*item).clone()),
            }
            name_item(block, helper, parameter, item, Some(key))?;
        }
        render(helper.template(), registry, context, render_context, out)?;
    }
    Ok(())
}

/// The scope of a block.
fn enter<'rc>(parameter: &PathAndJson<'rc>) -> BlockContext<'rc> {
    let mut block = BlockContext::new();
    match parameter.context_path() {
        Some(path) => block.base_path_mut().clone_from(path),
        None => block.set_base_value(parameter.value().clone()),
    }
    block
}

/// Gives the item of a block the name after `as`, and its key the second one.
fn name_item<'rc>(
    block: &mut BlockContext<'rc>,
    helper: &Helper<'rc>,
    parameter: &PathAndJson<'rc>,
    item: &Value,
    key: Option<&Value>,
) -> Result<(), RenderError> {
    let (item_name, key_name) = match (helper.block_param(), helper.block_param_pair()) {
        (Some(name), _) => (name, None),
        (None, Some((name, key_name))) => (name, Some(key_name)),
        (None, None) => return Ok(()),
    };
    let mut names = BlockParams::new();
    if parameter.context_path().is_some() {
        names.add_path(item_name, Vec::new())?;
    } else {
        names.add_value(item_name, item.clone())?;
    }
    if let Some((name, key)) = key_name.zip(key) {
        names.add_value(name, key.clone())?;
    }
    block.set_block_params(names);
    Ok(())
}
