use super::*;
use crate::Segment;
use crate::segment::ObjectKind;
use crate::segment::directory::{Plan, Want};
use proptest::prelude::*;

fn layout(tag: &str) -> TypeLayout {
    TypeLayout::parse(tag).unwrap_or_else(|error| panic!("{error}"))
}

fn same(one: &str, other: &str) -> bool {
    let (there, wanted) = (difference(&layout(one), &layout(other)), difference(&layout(other), &layout(one)));
    assert_eq!(there.is_none(), wanted.is_none(), "{one} against {other} is not what {other} against {one} is");
    there.is_none()
}

#[test]
fn sizes_and_offsets_are_those_of_c() {
    for (tag, size, align) in [
        ("d", 8, 8),
        ("T{d:b:i:a:}", 16, 8),
        ("di", 12, 8),   // as struct.calcsize
        ("di0d", 16, 8), // its way to say padding at the end
        ("T{=d:b:i:a:}", 12, 1),
        ("T{b:x:=d:a:i:b:}", 13, 1),
        ("(2,3)f", 24, 4),
        ("T{(3)T{d:b:i:a:}:s:c:k:}", 56, 8),
        ("16s", 16, 1),
        ("T{?:k:xe:h:Zf:z:Zd:w:g:g:4w:u:}", 64, 16),
        ("=l", 4, 1),
        ("l", 8, 8),
        ("^bl", 9, 1),
        (" T{ 2 x i :a: }", 8, 4),
    ] {
        let layout = layout(tag);
        assert_eq!((layout.size(), layout.align()), (size, align), "{tag}");
    }
    let offsets: Vec<_> = layout("T{h:a:T{b:c:d:d:}:in:b:e:}").fields().iter().map(|f| f.offset).collect();
    assert_eq!(offsets, [0, 8, 16, 24]);
}

#[test]
fn one_layout_has_many_spellings() {
    let numpy = "T{i:sensor_id:f:temperature:d:time:}";
    for other in [
        "T{<i:sensor_id:<f:temperature:<d:time:}",
        "ifd",
        "@ifd",
        "<ifd",
        "=lfd",
        "T{if:temperature:d}",
        "T{T{if}:a:d}",
    ] {
        assert_eq!(same(numpy, other), !other.contains(":a:"), "{other}");
    }
    // numpy, C, ctypes and struct, with padding inside and behind.
    let numpy = "T{T{d:b:i:a:}:s:xxxxi:c:}";
    for other in ["T{T{d:b:i:a:}:s:i:c:}", "T{T{<d:b:<i:a:4x}:s:<i:c:4x}", "di4xi4x", "T{d:s.b:i:s.a:4xi:s.x:}"] {
        assert_eq!(same(numpy, other), !other.contains("s.x"), "{other}");
    }
    let numpy = "T{(3)T{d:b:i:a:}:s:xxxxxxxxxxxx>i:c:(2,3)@f:m:16s:n:4w:u:xxxxZd:z:3x:v:?:k:e:h:}";
    let c = "T{(3)T{d:b:i:a:4x}:s:>i:c:(6)<f:m:(16)c:n:(4)<w:u:4xZd:z:3x?:k:<e:h:2x}";
    assert_eq!((layout(numpy).size(), layout(c).size()), (136, 136));
    assert!(same(numpy, c));
    assert!(same("(4)i:a:", "4i") && same("iiii", "2i(2)i") && same("4i:a:", "2i2i") && !same("4i:a:", "ii:b:ii"));
    assert!(same("16s:name:", "(16)B:name:") && same("16s", "16b") && !same("B", "b") && !same("?", "B"));
    assert!(same("n", "q") && same("l", "q") && same("N", "L") && !same("q", "Q"));
}

#[test]
fn other_layouts_are_told_apart() {
    let ours = "T{i:a:f:b:d:c:}";
    for other in [
        "T{i:a:f:b:d:x:}",
        "T{i:a:i:b:d:c:}",
        "T{i:a:d:c:f:b:}",
        "T{>i:a:<f:b:d:c:}",
        "T{=i:a:f:b:4xd:c:}",
        "T{i:a:f:b:d:c:8x}",
        "T{i:a:f:b:8x}",
        "T{i:a:4xd:c:}",
        "T{d:a:d:c:}",
        "16x",
        "2d",
        "I",
    ] {
        assert!(!same(ours, other), "{other}");
    }
}

#[test]
fn a_mismatch_shows_both_layouts_with_the_rows_that_differ_marked() {
    let there = layout("T{i:sensor_id:f:temperature:d:time:}");
    let wanted = layout("T{i:sensor_id:d:temperature:d:time:h:unit:}");
    let table = "  there                     wanted
  offset  type  name         offset  type  name
       0  i32   sensor_id         0  i32   sensor_id
!      4  f32   temperature
!      8  f64   time              8  f64   temperature
!                                16  f64   time
!                                24  i16   unit
!     16  bytes in all           32  bytes in all";
    let squeeze = |s: &str| s.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    let said = difference(&there, &wanted).unwrap();
    assert_eq!(squeeze(&said), squeeze(table), "{said}");
    let columns: Vec<_> = said.lines().skip(2).filter_map(|line| line.find("i32")).collect();
    assert_eq!(columns, [10], "{said}");
}

#[test]
fn what_is_no_type_tag_is_refused_with_the_reason() {
    for (tag, why) in [
        ("", "no bytes"),
        ("x0d", ""),
        ("k", "no type of PEP 3118"),
        ("T{i:a:", "brace"),
        ("T{i:a:}}", "brace"),
        ("i:a", "colon"),
        ("(2,)i", "shape"),
        ("(2;3)i", "shape"),
        ("4", "missing"),
        ("P", "pointer"),
        ("T{&i:p:}", "pointer"),
        ("O", "pointer"),
        ("Zi", "complex"),
        ("<n", "standard size"),
        ("T{i:gr\u{f6}\u{df}e:}", "ASCII"),
        ("99999999999999999999i", "too large"),
        ("(1000000,1000000,1000000)i", "too large"),
        ("(1000000)d(1000000000000)d", "bytes"),
        ("(5000)T{ib}", "fields"),
        ("(1000000000000)T{}", "no bytes"),
        ("u", "two meanings"),
        ("8t", "bits"),
        ("T{d:a:d:a:}", "two fields named \"a\""),
        ("i:a:4x:a:", "two fields named \"a\""),
        ("T{T{i:a:}:s:T{i:a:}:t:i:a:}", ""),
    ] {
        match TypeLayout::parse(tag) {
            Ok(_) => assert_eq!(why, "", "{tag} is taken"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.to_string().contains(why), "{tag}: {error}");
            }
        }
    }
    let nested = |n: usize| format!("{}i{}", "T{".repeat(n), "}".repeat(n));
    assert!(TypeLayout::parse(&nested(MOST_DEPTH)).is_ok());
    assert!(TypeLayout::parse(&nested(MOST_DEPTH + 1)).unwrap_err().to_string().contains("deep"));
    assert!(TypeLayout::parse(&nested(2000)).is_err());
    assert!(TypeLayout::parse(&"i".repeat(TAG_MAX + 1)).unwrap_err().to_string().contains("4096"));
    // Small to write, large to read.
    let bomb = format!("{}i{}", "(99)T{i".repeat(12), "}".repeat(12));
    assert!(TypeLayout::parse(&bomb).unwrap_err().to_string().contains("fields"));
    let long = format!("(4000)T{{i:{}:b:{}:}}", "a".repeat(1000), "b".repeat(1000));
    assert!(TypeLayout::parse(&long).unwrap_err().to_string().contains("fields"));
}

#[test]
fn a_struct_is_described_with_all_its_padding() {
    let described = |size: usize, list: &[(&str, usize, &str)]| {
        let layouts: Vec<_> = list.iter().map(|(.., tag)| layout(tag)).collect();
        let members = list.iter().zip(&layouts).map(|((n, o, t), l)| (*n, *o, l.align(), l.size(), *t));
        of_struct(size, members)
    };
    let plain = described(16, &[("sensor_id", 0, "i"), ("temperature", 4, "f"), ("time", 8, "d")]).unwrap();
    assert_eq!(plain, "T{i:sensor_id:f:temperature:d:time:}");
    assert_eq!(described(24, &[("a", 0, "b"), ("d", 8, "d"), ("e", 16, "h")]).unwrap(), "T{b:a:7xd:d:h:e:6x}");
    let packed = described(13, &[("a", 0, "b"), ("d", 1, "d"), ("e", 9, "i")]).unwrap();
    assert_eq!((packed.as_str(), layout(&packed).size()), ("T{=b:a:d:d:i:e:}", 13));
    let cut = described(12, &[("d", 0, "d"), ("e", 8, "i")]).unwrap();
    assert_eq!(layout(&cut).size(), 12);
    assert_eq!(of_array(2, &of_array(3, "d")), "(2,3)d");
    assert!(described(8, &[("a", 0, "d"), ("b", 4, "i")]).is_err());
    assert!(described(8, &[("a", 0, "d"), ("b", 8, "i")]).is_err());
}

#[test]
fn an_object_tells_whether_it_is_of_the_type_that_is_wanted() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let make = |name: &str, tag: &str| {
        let plan = Plan { geometry: [0; 5], size: 256, initialise: &|_| {}, tag };
        segment.object(ObjectKind::Mutex, name, Want::Either, Some(plan))
    };
    let object = make("typed", "T{i:a:d:b:}").unwrap();
    assert_eq!(object.type_tag().unwrap().as_deref(), Some("T{i:a:d:b:}"));
    for good in ["", "T{i:a:d:b:}", "id", "i4xd"] {
        object.expect_type(good).unwrap();
        make("typed", good).unwrap();
    }
    object.require_type("id").unwrap();
    let error = make("typed", "T{i:a:f:b:}").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("typed") && error.to_string().contains("f64"), "{error}");
    assert_eq!(object.expect_type("junk").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(make("other", "junk").err().unwrap().kind(), ErrorKind::Invalid);

    let untyped = make("untyped", "").unwrap();
    untyped.expect_type("d").unwrap();
    assert_eq!(untyped.require_type("d").unwrap_err().kind(), ErrorKind::Incompatible);
}

#[test]
fn a_tag_of_garbage_is_corrupt() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let tag = "T{i:a:d:b:}";
    let plan = Plan { geometry: [0; 5], size: 256, initialise: &|_| {}, tag };
    let object = segment.object(ObjectKind::Mutex, "typed", Want::Create, Some(plan)).unwrap();
    let view = object.view();
    for garbage in [&b"T{i:a:d:b:{"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"(99999999)d"] {
        // SAFETY: the tag lies at the end of the object (`Plan`), and is as long as each of these.
        unsafe { crate::sys::memory::copy_in(view.base().add(view.size() - tag.len()), garbage) };
        let error = object.expect_type("d").unwrap_err();
        let expected = if garbage[0] == b'(' { ErrorKind::Incompatible } else { ErrorKind::Corrupt };
        assert_eq!(error.kind(), expected, "{error}");
    }
}

/// Text that a tag might be.
fn tags() -> impl Strategy<Value = String> {
    let scalar = "[?cbBhHiIlLqQnNefdgsw]|Z[fdg]";
    let leaf = (prop::option::of("[@=<>^]"), prop::option::of(1..5u8), scalar).prop_map(|(order, n, s)| {
        format!("{}{}{s}", order.unwrap_or_default(), n.map_or(String::new(), |n| n.to_string()))
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (prop::collection::vec((inner, "(:[a-z]{1,3}:)?", "x{0,3}"), 1..4), prop::option::of(1..4u8)).prop_map(
            |(items, n)| {
                let body: String = items.into_iter().map(|(item, name, pad)| format!("{item}{name}{pad}")).collect();
                format!("{}T{{{body}}}", n.map_or(String::new(), |n| format!("({n})")))
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_layout_or_an_error(tag in "\\PC{0,40}", like in "[T{}(),0-9:<>@=^a-zA-Z?& ]{0,60}") {
        for text in [tag, like] {
            if let Ok(layout) = TypeLayout::parse(&text) {
                prop_assert!(layout.fields().windows(2).all(|w| w[0].end() <= w[1].offset));
                prop_assert!(layout.fields().last().is_none_or(|f| f.end() <= layout.size()));
                prop_assert!(difference(&layout, &layout).is_none());
            }
        }
    }

    #[test]
    fn a_layout_is_itself_and_its_own_description(tag in tags()) {
        if let Ok(parsed) = TypeLayout::parse(&tag) {
            prop_assert!(difference(&parsed, &parsed).is_none());
            let again = of_struct(parsed.size(), [("", 0, parsed.align(), parsed.size(), tag.as_str())].into_iter());
            if let Ok(again) = TypeLayout::parse(&again.unwrap()) {
                prop_assert!(difference(&parsed, &again).is_none(), "{} {:?} {:?}", tag, parsed, again);
            }
        }
    }

    #[test]
    fn two_layouts_differ_in_both_directions_or_in_none(one in tags(), other in tags()) {
        if let (Ok(one), Ok(other)) = (TypeLayout::parse(&one), TypeLayout::parse(&other)) {
            prop_assert_eq!(difference(&one, &other).is_some(), difference(&other, &one).is_some());
        }
    }
}
