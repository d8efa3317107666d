//! The helpers. Each is a function of JSON values; an unknown variable among its parameters is an
//! error unless the helper is made for that (`defined`, `default`).

mod address;
mod block;
mod number;
mod text;

use std::cell::Cell;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, JsonTruthy, Output, PathAndJson,
    RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use serde_json::Value;

/// The result of a helper, or what is wrong with its parameters.
type Outcome = Result<Value, String>;

/// A helper as a plain function.
#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    /// Minimum and maximum number of parameters.
    arity: (usize, usize),
    unknown: Unknown,
    run: fn(&[&Value]) -> Outcome,
}

/// Where a helper takes an unknown variable as null.
#[derive(Clone, Copy)]
enum Unknown {
    Nowhere,
    Anywhere,
    /// Everywhere but in the last parameter: the value that is used if there is no other.
    NotLast,
}

const fn strict(name: &'static str, arity: (usize, usize), run: fn(&[&Value]) -> Outcome) -> Function {
    Function {
        name,
        arity,
        unknown: Unknown::Nowhere,
        run,
    }
}

const fn lenient(
    name: &'static str,
    arity: (usize, usize),
    unknown: Unknown,
    run: fn(&[&Value]) -> Outcome,
) -> Function {
    Function {
        name,
        arity,
        unknown,
        run,
    }
}

/// All names that a template can call, for suggestions.
pub(super) const NAMES: &[&str] = &[
    "if",
    "unless",
    "each",
    "with",
    "raw",
    "lookup",
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "and",
    "or",
    "not",
    "defined",
    "default",
    "len",
    "length",
    "join",
    "first",
    "last",
    "slice",
    "contains",
    "concat",
    "split",
    "upper",
    "lower",
    "trim",
    "replace",
    "pad",
    "quote",
    "json",
    "base64",
    "sha256",
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "min",
    "max",
    "range",
    "ip_add",
    "ip_diff",
    "ip_host",
    "ip_network",
    "ip_netmask",
    "ip_prefix",
];

const MANY: usize = 64;

const FUNCTIONS: &[Function] = &[
    strict("eq", (2, 2), |v| Ok(number::equal(v[0], v[1]).into())),
    strict("ne", (2, 2), |v| Ok((!number::equal(v[0], v[1])).into())),
    strict("gt", (2, 2), |v| number::compare(v, std::cmp::Ordering::is_gt)),
    strict("gte", (2, 2), |v| number::compare(v, std::cmp::Ordering::is_ge)),
    strict("lt", (2, 2), |v| number::compare(v, std::cmp::Ordering::is_lt)),
    strict("lte", (2, 2), |v| number::compare(v, std::cmp::Ordering::is_le)),
    strict("and", (1, MANY), |v| Ok(v.iter().all(|x| truthy(x)).into())),
    strict("or", (1, MANY), |v| Ok(v.iter().any(|x| truthy(x)).into())),
    strict("not", (1, 1), |v| Ok((!truthy(v[0])).into())),
    lenient("defined", (1, 1), Unknown::Anywhere, |v| {
        Ok((!v[0].is_null()).into())
    }),
    lenient("default", (2, MANY), Unknown::NotLast, |v| {
        Ok(v.iter()
            .find(|x| !x.is_null())
            .map_or(Value::Null, |x| (*x).clone()))
    }),
    strict("lookup", (2, 2), text::lookup),
    strict("len", (1, 1), text::length),
    strict("length", (1, 1), text::length),
    strict("join", (1, 3), text::join),
    strict("first", (1, 1), |v| text::end(v, false)),
    strict("last", (1, 1), |v| text::end(v, true)),
    strict("slice", (2, 3), text::slice),
    strict("contains", (2, 2), text::contains),
    strict("concat", (1, MANY), |v| {
        Ok(v.iter().map(|x| x.render()).collect::<String>().into())
    }),
    strict("split", (2, 2), text::split),
    strict("upper", (1, 1), |v| Ok(v[0].render().to_uppercase().into())),
    strict("lower", (1, 1), |v| Ok(v[0].render().to_lowercase().into())),
    strict("trim", (1, 1), |v| Ok(v[0].render().trim().into())),
    strict("replace", (3, 3), |v| {
        Ok(v[0].render().replace(&v[1].render(), &v[2].render()).into())
    }),
    strict("pad", (2, 3), text::pad),
    strict("quote", (1, 1), |v| Ok(text::quote(v[0]))),
    strict("json", (1, 1), |v| Ok(v[0].to_string().into())),
    strict("base64", (1, 1), |v| Ok(text::base64(v[0]))),
    strict("sha256", (1, 1), |v| Ok(text::sha256(v[0]))),
    strict("add", (2, MANY), number::add),
    strict("sub", (2, 2), number::sub),
    strict("mul", (2, MANY), number::mul),
    strict("div", (2, 2), number::div),
    strict("mod", (2, 2), number::modulo),
    strict("min", (1, MANY), number::min),
    strict("max", (1, MANY), number::max),
    strict("range", (1, 3), number::range),
    strict("ip_add", (2, 2), address::add),
    strict("ip_diff", (2, 2), address::diff),
    strict("ip_host", (2, 2), address::host),
    strict("ip_network", (1, 1), address::network),
    strict("ip_netmask", (1, 1), address::netmask),
    strict("ip_prefix", (1, 1), address::prefix),
];

/// Registers all helpers; they replace built-in ones of the same name.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    for function in FUNCTIONS {
        registry.register_helper(function.name, Box::new(*function));
    }
    block::register(registry);
}

impl Function {
    /// Fails if a variable is unknown where this helper needs its value.
    fn check(&self, params: &[PathAndJson<'_>]) -> Result<(), RenderError> {
        let needed: &[PathAndJson<'_>] = match self.unknown {
            Unknown::Nowhere => params,
            Unknown::Anywhere => &[],
            Unknown::NotLast => params.get(params.len().saturating_sub(1)..).unwrap_or_default(),
        };
        needed.iter().try_for_each(block::known)
    }
}

impl HelperDef for Function {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let params = helper.params();
        let (fewest, most) = self.arity;
        if !(fewest..=most).contains(&params.len()) {
            let wanted = match (fewest, most) {
                (a, b) if a == b => a.to_string(),
                (a, MANY) => format!("{a} or more"),
                (a, b) => format!("{a} to {b}"),
            };
            let message = format!(
                "`{}` takes {wanted} parameters, but has {}",
                self.name,
                params.len()
            );
            return Err(RenderErrorReason::Other(message).into());
        }
        if let Some(key) = helper.hash().keys().next() {
            let message = format!("`{}` has no named parameter `{key}`", self.name);
            return Err(RenderErrorReason::Other(message).into());
        }
        self.check(params)?;
        let values: Vec<&Value> = params.iter().map(handlebars::PathAndJson::value).collect();
        (self.run)(&values)
            .map(ScopedJson::Derived)
            .map_err(|message| RenderErrorReason::Other(format!("`{}`: {message}", self.name)).into())
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render_context: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = self.call_inner(helper, registry, context, render_context)?;
        if helper.is_block() {
            let is_chosen = truthy(value.as_json());
            return block::branch(is_chosen, helper, registry, context, render_context, out);
        }
        Ok(out.write(&value.render())?)
    }
}

/// Whether a condition holds for a value: false, nothing, 0 in whatever form, and what is empty count as false.
fn truthy(value: &Value) -> bool {
    let written = value.as_str().and_then(crate::base::number::unusual);
    written.map_or_else(
        || value.is_truthy(false),
        |number| Value::Number(number).is_truthy(false),
    )
}

thread_local! {
    /// Values that helpers may still create in this rendering.
    static BUDGET: Cell<usize> = const { Cell::new(0) };
}

/// Values that the helpers of one rendering may create: a limit for nested ranges.
const MAX_VALUES: usize = 2_000_000;

/// Runs one rendering with its own budget.
pub(super) fn with_fresh_budget<T>(render: impl FnOnce() -> T) -> T {
    BUDGET.set(MAX_VALUES);
    render()
}

/// Takes values from the budget before they are created.
fn spend(values: usize) -> Result<(), String> {
    let left = BUDGET.get();
    if values > left {
        return Err(format!("more than {MAX_VALUES} values in one template"));
    }
    BUDGET.set(left - values);
    Ok(())
}

/// The value as a list, or an error message.
fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("`{}` is not a list", short(value)))
}

/// A value, shortened for a message.
fn short(value: &Value) -> String {
    value.render().chars().take(40).collect()
}
