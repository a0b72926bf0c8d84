//! What `#[collect(...)]` says, on a type and on a field. Owns the error texts for its misuse.
//!
//! Invariant: a type without exactly one mode is refused; silence never means "traced" or "static".

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Lifetime, LitStr, WhereClause};

/// What the author promises about dropping, and so what the derive may assume.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    NoDrop,
    RequireStatic,
    UnsafeDrop,
}

/// Which bounds the implementation has on type parameters.
pub(crate) enum Bound {
    /// `T: Collect<'gc>` for each parameter in a traced field.
    Derived,
    /// None: `bound = ""`.
    Nothing,
    /// Those of `bound = "where ..."`.
    Given(WhereClause),
}

/// The options of a type.
pub(crate) struct TypeOptions {
    pub(crate) mode: Mode,
    pub(crate) bound: Bound,
    pub(crate) gc_lifetime: Option<Lifetime>,
}

const USAGE: &str = "`#[collect(...)]` takes one of `no_drop`, `require_static`, `unsafe_drop`, and optionally `bound = \"...\"` \
     and `gc_lifetime = '...`";

impl TypeOptions {
    pub(crate) fn read(input: &syn::DeriveInput) -> syn::Result<Self> {
        let Some(attribute) = only(&input.attrs)? else {
            return Err(syn::Error::new_spanned(
                &input.ident,
                format!("deriving `Collect` needs an attribute `#[collect(...)]`; {USAGE}"),
            ));
        };
        let mut mode = None;
        let mut bound = None;
        let mut gc_lifetime = None;
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("bound") {
                let text: LitStr = meta.value()?.parse()?;
                return put(&mut bound, parse_bound(&text)?, &meta);
            }
            if meta.path.is_ident("gc_lifetime") {
                let lifetime = meta.value()?.parse::<Lifetime>()?;
                return put(&mut gc_lifetime, lifetime, &meta);
            }
            let found = if meta.path.is_ident("no_drop") {
                Mode::NoDrop
            } else if meta.path.is_ident("require_static") {
                Mode::RequireStatic
            } else if meta.path.is_ident("unsafe_drop") {
                Mode::UnsafeDrop
            } else {
                return Err(meta.error(format!("unknown option; {USAGE}")));
            };
            put(&mut mode, found, &meta)
        })?;
        let mode =
            mode.ok_or_else(|| syn::Error::new_spanned(attribute, format!("no mode given; {USAGE}")))?;
        Ok(Self { mode, bound: bound.unwrap_or(Bound::Derived), gc_lifetime })
    }
}

fn put<T>(place: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if place.replace(value).is_some() {
        return Err(meta.error(format!("given twice; {USAGE}")));
    }
    Ok(())
}

fn parse_bound(text: &LitStr) -> syn::Result<Bound> {
    if text.value().trim().is_empty() { Ok(Bound::Nothing) } else { text.parse().map(Bound::Given) }
}

/// Whether a field is exempt from tracing by `#[collect(require_static)]`.
pub(crate) fn field_is_static(attributes: &[Attribute]) -> syn::Result<bool> {
    let Some(attribute) = only(attributes)? else { return Ok(false) };
    let mut found = false;
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("require_static") {
            found = true;
            Ok(())
        } else {
            Err(meta.error("a field can only have `#[collect(require_static)]`"))
        }
    })?;
    Ok(found)
}

/// Refuses the attribute where it means nothing: on an enum's variant.
pub(crate) fn refuse_on_variant(attributes: &[Attribute]) -> syn::Result<()> {
    match only(attributes)? {
        Some(attribute) => Err(syn::Error::new_spanned(
            attribute,
            "`#[collect]` has no meaning on a variant; put it on the type or on a field",
        )),
        None => Ok(()),
    }
}

/// The one `#[collect]` among attributes.
fn only(attributes: &[Attribute]) -> syn::Result<Option<&Attribute>> {
    let mut found = attributes.iter().filter(|attribute| attribute.path().is_ident("collect"));
    let first = found.next();
    match found.next() {
        Some(second) => {
            Err(syn::Error::new_spanned(second, "more than one `#[collect]` attribute; merge them into one"))
        }
        None => Ok(first),
    }
}
