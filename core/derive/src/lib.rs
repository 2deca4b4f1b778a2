//! `#[derive(Typed)]`: lets a plain struct lie in shared memory. Documented where it is used: `triveni::Typed`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Result, Type, parse_macro_input};

/// See `triveni::Typed`.
#[proc_macro_derive(Typed)]
pub fn typed(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let refuse = |why: &str| Err(Error::new(name.span(), why));
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(_) => {
            return refuse("an enum cannot be Typed: not every number is one of its variants; keep the number");
        }
        Data::Union(_) => return refuse("a union cannot be Typed: its bytes have no type of their own"),
    };
    if !input.generics.params.is_empty() {
        return refuse("a Typed struct has one layout: it takes no parameters");
    }
    if !is_repr_c(input)? {
        return refuse(
            "a Typed struct needs #[repr(C)]: without it Rust may order its fields in another way each time",
        );
    }
    for field in fields {
        check(&field.ty)?;
    }
    let types: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
    let members = fields.members();
    let names = fields.iter().map(name_of);
    let padding = format!(
        "`{name}` has padding, whose bytes belong to nobody; where the compiler puts some, add a field whose name \
         begins with an underscore, such as `_pad: [u8; 4]`"
    );
    Ok(quote! {
        // SAFETY: `repr(C)`, made of `Typed` fields, and without padding, as asserted here: any bytes are a value, and
        // each byte of a value is one of a field.
        unsafe impl ::triveni::Typed for #name {
            fn type_tag() -> ::std::string::String {
                const { ::core::assert!(::core::mem::size_of::<#name>() == 0 #(+ ::core::mem::size_of::<#types>())*, #padding) };
                ::triveni::__of_struct(::core::mem::size_of::<#name>(), &[
                    #((
                        #names,
                        ::core::mem::offset_of!(#name, #members),
                        ::core::mem::align_of::<#types>(),
                        ::core::mem::size_of::<#types>(),
                        <#types as ::triveni::Typed>::type_tag(),
                    ),)*
                ])
                // The offsets are the compiler's, so they are in order; what is no type tag would be refused.
                .unwrap_or_else(|error| error.to_string())
            }
        }
        const _: () = ::core::assert!(::core::mem::size_of::<#name>() == 0 #(+ ::core::mem::size_of::<#types>())*, #padding);
    })
}

/// The name in the tag; empty: none.
fn name_of(field: &Field) -> String {
    field.ident.as_ref().map_or_else(String::new, |ident| ident.to_string().trim_start_matches("r#").to_string())
}

fn is_repr_c(input: &DeriveInput) -> Result<bool> {
    let mut fixed = false;
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            fixed |= meta.path.is_ident("C") || meta.path.is_ident("transparent");
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?; // packed(1), align(8)
            }
            Ok(())
        })?;
    }
    Ok(fixed)
}

/// Refuses, with the reason, what can be seen to be no value of any bits. The rest is the trait bound's.
fn check(ty: &Type) -> Result<()> {
    let why = match ty {
        Type::Array(array) => return check(&array.elem),
        Type::Reference(_) | Type::Ptr(_) | Type::BareFn(_) => {
            "a pointer means nothing to another process; keep an index or an offset"
        }
        Type::Tuple(_) => "a tuple has no layout that is promised; use a #[repr(C)] struct",
        Type::Slice(_) => "a slice has no size of its own; use an array",
        Type::Path(path) => match path.path.segments.last().map(|last| last.ident.to_string()).as_deref() {
            Some("bool") => "not every byte is a bool; use triveni::Bool, which takes any",
            Some("char") => "not every number is a char; keep it as u32",
            Some("String" | "Vec" | "Box" | "Rc" | "Arc" | "CString") => {
                "this points to memory of this process; use an array, such as [u8; 32]"
            }
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(Error::new(ty.span(), why))
}
