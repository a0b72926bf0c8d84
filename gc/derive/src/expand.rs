//! Writes the `Collect` implementation of one type. Owns the generated code's shape and its hygiene.
//!
//! Invariant: each field is either passed to `Trace::trace` and counted in `NEEDS_TRACE`, or bounded by `'static`.

use crate::options::{Bound, Mode, TypeOptions, field_is_static, refuse_on_variant};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashSet;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Data, DeriveInput, Fields, GenericParam, Generics, Lifetime, Member, Type, parse_quote};

pub(crate) fn collect(input: &DeriveInput, gc: &TokenStream) -> syn::Result<TokenStream> {
    let options = TypeOptions::read(input)?;
    if options.mode == Mode::RequireStatic {
        return Ok(static_impl(input, gc));
    }
    let body = Body::read(input, gc)?;
    let traced = traced_impl(input, gc, &options, &body)?;
    let guard = (options.mode == Mode::NoDrop).then(|| no_drop_impl(input, gc));
    Ok(quote!(#traced #guard))
}

fn static_impl(input: &DeriveInput, gc: &TokenStream) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    let lifetime = fresh_lifetime();
    generics.params.insert(0, parse_quote!(#lifetime));
    generics.make_where_clause().predicates.push(parse_quote!(Self: 'static));
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = input.generics.split_for_impl();
    quote! {
        // SAFETY: a `'static` type holds no pointer of any arena.
        #[automatically_derived]
        unsafe impl #impl_generics #gc::Collect<#lifetime> for #name #type_generics #where_clause {
            const NEEDS_TRACE: bool = false;
        }
    }
}

/// Conflicts with a blanket implementation for all types that are `Drop`, so that such a type does not compile.
fn no_drop_impl(input: &DeriveInput, gc: &TokenStream) -> TokenStream {
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #gc::__MustNotImplDrop for #name #type_generics #where_clause {}
    }
}

fn traced_impl(
    input: &DeriveInput,
    gc: &TokenStream,
    options: &TypeOptions,
    body: &Body,
) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    let lifetime = gc_lifetime(input, options, &mut generics)?;
    let predicates = &mut generics.make_where_clause().predicates;
    match &options.bound {
        Bound::Given(clause) => predicates.extend(clause.predicates.iter().cloned()),
        Bound::Nothing => {}
        Bound::Derived => {
            for parameter in body.traced_parameters(&input.generics) {
                predicates.push(parse_quote!(#parameter: #gc::Collect<#lifetime>));
            }
        }
    }
    for ty in &body.static_types {
        predicates.push(parse_quote!(#ty: 'static));
    }
    let needs_trace = body.traced_types.iter().map(|ty| {
        let span = ty.span().resolved_at(Span::call_site());
        quote_spanned!(span=> || <#ty as #gc::Collect<#lifetime>>::NEEDS_TRACE)
    });
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = input.generics.split_for_impl();
    let arms = &body.arms;
    let tracer = Ident::new("__Trace", Span::mixed_site());
    let context = context_ident();
    Ok(quote! {
        // SAFETY: every field is traced, or is `'static` by a bound and so holds no pointer.
        #[automatically_derived]
        unsafe impl #impl_generics #gc::Collect<#lifetime> for #name #type_generics #where_clause {
            const NEEDS_TRACE: bool = false #(#needs_trace)*;

            #[inline]
            #[allow(unused_variables, clippy::all, clippy::pedantic)]
            fn trace<#tracer: #gc::collect::Trace<#lifetime>>(&self, #context: &mut #tracer) {
                match *self { #(#arms)* }
            }
        }
    })
}

/// The lifetime that plays `'gc`: the named one, the only one, or a fresh one for types that have none.
fn gc_lifetime(input: &DeriveInput, options: &TypeOptions, generics: &mut Generics) -> syn::Result<Lifetime> {
    if let Some(lifetime) = &options.gc_lifetime {
        return Ok(lifetime.clone());
    }
    let mut lifetimes = input.generics.lifetimes();
    match (lifetimes.next(), lifetimes.next()) {
        (Some(only), None) => Ok(only.lifetime.clone()),
        (None, _) => {
            let lifetime = fresh_lifetime();
            generics.params.insert(0, GenericParam::Lifetime(syn::LifetimeParam::new(lifetime.clone())));
            Ok(lifetime)
        }
        (Some(_), Some(second)) => Err(syn::Error::new_spanned(
            second,
            "more than one lifetime parameter: say which one is the arena's with `#[collect(gc_lifetime = '...)]`",
        )),
    }
}

/// `'gc` itself, so that a `bound = "where T: Collect<'gc>"` on a type without lifetimes can name it.
fn fresh_lifetime() -> Lifetime {
    Lifetime::new("'gc", Span::call_site())
}

fn context_ident() -> Ident {
    Ident::new("cc", Span::mixed_site())
}

/// The match arms of `trace`, and the types of the fields by how they are treated.
#[derive(Default)]
struct Body {
    arms: Vec<TokenStream>,
    traced_types: Vec<Type>,
    static_types: Vec<Type>,
}

impl Body {
    fn read(input: &DeriveInput, gc: &TokenStream) -> syn::Result<Self> {
        let mut body = Self::default();
        match &input.data {
            Data::Struct(data) => body.arm(&quote!(Self), &data.fields, gc)?,
            Data::Enum(data) => {
                for variant in &data.variants {
                    refuse_on_variant(&variant.attrs)?;
                    let name = &variant.ident;
                    body.arm(&quote!(Self::#name), &variant.fields, gc)?;
                }
            }
            Data::Union(data) => {
                return Err(syn::Error::new_spanned(
                    data.union_token,
                    "`Collect` cannot be derived for a union: which field is live is not known",
                ));
            }
        }
        Ok(body)
    }

    fn arm(&mut self, path: &TokenStream, fields: &Fields, gc: &TokenStream) -> syn::Result<()> {
        let mut patterns = Vec::new();
        let mut traces = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let member = match &field.ident {
                Some(name) => Member::Named(name.clone()),
                None => Member::from(index),
            };
            // Each field has its place in the pattern: one that an attribute adds behind the derive's back is an error.
            if field_is_static(&field.attrs)? {
                self.static_types.push(field.ty.clone());
                patterns.push(quote!(#member: _));
                continue;
            }
            let binding = format_ident!("field_{index}", span = Span::mixed_site());
            let context = context_ident();
            // The field's own span makes "`X: Collect` is not satisfied" point at the field.
            let span = field.ty.span().resolved_at(Span::call_site());
            patterns.push(quote!(#member: ref #binding));
            traces.push(quote_spanned!(span=> #gc::collect::Trace::trace(#context, #binding);));
            self.traced_types.push(field.ty.clone());
        }
        self.arms.push(quote!(#path { #(#patterns,)* } => { #(#traces)* }));
        Ok(())
    }

    /// The type parameters that occur in a traced field.
    fn traced_parameters(&self, generics: &Generics) -> Vec<Ident> {
        let mut mentioned = Mentioned::default();
        for ty in &self.traced_types {
            mentioned.visit_type(ty);
        }
        generics
            .type_params()
            .filter(|parameter| mentioned.0.contains(&parameter.ident))
            .map(|parameter| parameter.ident.clone())
            .collect()
    }
}

/// All identifiers of a type. More than its parameters, which does no harm: they are only intersected with those.
#[derive(Default)]
struct Mentioned(HashSet<Ident>);

impl<'ast> Visit<'ast> for Mentioned {
    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.0.insert(ident.clone());
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let mut pending: Vec<_> = called.tokens.clone().into_iter().collect();
        while let Some(token) = pending.pop() {
            match token {
                proc_macro2::TokenTree::Ident(ident) => {
                    self.0.insert(ident);
                }
                proc_macro2::TokenTree::Group(group) => pending.extend(group.stream()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::collect;
    use quote::quote;
    use syn::{DeriveInput, parse_quote};

    fn refusal(input: &DeriveInput) -> String {
        match collect(input, &quote!(::gc)) {
            Ok(code) => panic!("accepted, as {code}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn misuse_is_refused_with_a_reason() {
        let no_attribute = refusal(&parse_quote!(
            struct S;
        ));
        assert!(no_attribute.contains("needs an attribute"), "{no_attribute}");
        let no_mode = refusal(&parse_quote!(
            #[collect(bound = "")]
            struct S;
        ));
        assert!(no_mode.contains("no mode given"), "{no_mode}");
        let two_modes = refusal(&parse_quote!(
            #[collect(no_drop, unsafe_drop)]
            struct S;
        ));
        assert!(two_modes.contains("given twice"), "{two_modes}");
        let two_attributes = refusal(&parse_quote!(
            #[collect(no_drop)]
            #[collect(no_drop)]
            struct S;
        ));
        assert!(two_attributes.contains("merge them"), "{two_attributes}");
        let unknown = refusal(&parse_quote!(
            #[collect(sometimes)]
            struct S;
        ));
        assert!(unknown.contains("unknown option"), "{unknown}");
        let on_variant = refusal(&parse_quote!(
            #[collect(no_drop)]
            enum E {
                #[collect(require_static)]
                A,
            }
        ));
        assert!(on_variant.contains("no meaning on a variant"), "{on_variant}");
        let on_field = refusal(&parse_quote!(
            #[collect(no_drop)]
            struct S(#[collect(no_drop)] u8);
        ));
        assert!(on_field.contains("a field can only have"), "{on_field}");
        let either = refusal(&parse_quote!(#[collect(no_drop)] union U { a: u8, b: i8 }));
        assert!(either.contains("union"), "{either}");
        let two_lifetimes = refusal(&parse_quote!(
            #[collect(no_drop)]
            struct S<'a, 'b>(&'a &'b u8);
        ));
        assert!(two_lifetimes.contains("more than one lifetime"), "{two_lifetimes}");
    }

    #[test]
    fn bounds_go_to_parameters_of_traced_fields_alone() {
        let input: DeriveInput = parse_quote! {
            #[collect(no_drop)]
            struct S<'gc, A, B, C> { a: Vec<A>, #[collect(require_static)] b: B, c: fn() -> &'gc C }
        };
        let code = collect(&input, &quote!(::gc)).expect("a valid struct").to_string();
        assert!(
            code.contains("A : :: gc :: Collect < 'gc >") && code.contains("C : :: gc :: Collect < 'gc >"),
            "{code}"
        );
        assert!(!code.contains("B : :: gc") && code.contains("B : 'static"), "{code}");
    }
}
