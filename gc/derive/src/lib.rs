//! `#[derive(Collect)]` and the lifetime rewriting behind `Rootable!`, for `bucketmask-gc`.
//!
//! `options.rs` reads the `#[collect(...)]` attributes, `expand.rs` writes the implementation. This file owns the entry
//! points and the name under which the caller imported the crate. Invariant: an implementation that is generated traces
//! every field, or proves by a `'static` bound that the field cannot hold a pointer into an arena.
#![deny(unsafe_code)]

mod expand;
mod options;

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::VisitMut;

/// Derives `Collect`, with one of three promises about dropping.
///
/// The type carries `#[collect(MODE)]`, where `MODE` is one of
///
/// - `no_drop`: every field is traced; the type must not implement `Drop` (enforced), so no destructor of its own can
///   look at pointers whose targets are already gone.
/// - `require_static`: the type is `'static` (enforced), so it holds no pointers and is never traced.
/// - `unsafe_drop`: every field is traced and `Drop` may be implemented. The author promises that this `drop` touches no
///   `Gc`: it may dangle by then.
///
/// Further options in the same attribute: `bound = "where ..."` replaces the bounds on type parameters that the derive
/// would write (`T: Collect<'gc>` for each parameter in a traced field; an empty string asks for none), and
/// `gc_lifetime = 'x` names the arena's lifetime where the type has more than one lifetime parameter.
///
/// A field may carry `#[collect(require_static)]`: its type then needs no `Collect`, but must be `'static`.
#[proc_macro_derive(Collect, attributes(collect))]
pub fn derive_collect(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::collect(&input, &gc_crate()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// The path of the collector's crate as the caller's manifest names it: a program that renamed the dependency keeps
/// working. Callers that have it only through another crate get the plain name.
fn gc_crate() -> TokenStream {
    match crate_name("bucketmask-gc") {
        Ok(FoundCrate::Name(name)) => {
            let name = proc_macro2::Ident::new(&name, Span::call_site());
            quote!(::#name)
        }
        Ok(FoundCrate::Itself) | Err(_) => quote!(::bucketmask_gc),
    }
}

/// Implementation detail of `Rootable!`: `('lt; Type<'_>)` becomes `Type<'lt>`.
#[doc(hidden)]
#[proc_macro]
pub fn __unelide_lifetimes(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let mut input = syn::parse_macro_input!(input as Elided);
    Name(input.lifetime).visit_type_mut(&mut input.ty);
    input.ty.into_token_stream().into()
}

struct Elided {
    lifetime: syn::Lifetime,
    ty: syn::Type,
}

impl Parse for Elided {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let lifetime = input.parse()?;
        input.parse::<syn::Token![;]>()?;
        Ok(Self { lifetime, ty: input.parse()? })
    }
}

struct Name(syn::Lifetime);

impl VisitMut for Name {
    fn visit_lifetime_mut(&mut self, lifetime: &mut syn::Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.0.clone();
        }
    }
}
