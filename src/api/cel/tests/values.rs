//! Expressions and their values.

use serde_json::json;

#[track_caller]
fn check(table: &[(&str, &str)]) {
    let json = json!({"a": 1, "s": "text", "list": [1, 2, 3], "map": {"x": 1, "y": "z"}, "null": null});
    super::check(&json, table);
}

#[test]
fn operators_compute() {
    check(&[
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("1.5 + 2.5", "4"),
        ("1u + 2u", "3"),
        ("9223372036854775807 + 1", "error: integer overflow"),
        ("0u - 1u", "error: unsigned integer overflow"),
        ("1 / 0", "error: division by zero"),
        ("1 % 0", "error: modulus by zero"),
        ("1.0 / 0.0", "+Inf"),
        ("'a' + 'b'", "ab"),
        ("[1] + [2]", "[1, 2]"),
    ]);
    check(&[
        ("dyn(1) == 1.0", "true"),
        ("dyn(1u) == 1", "true"),
        ("1 < 1.5", "true"),
        ("1u >= 1", "true"),
        ("'a' < 'b' && !(true && false)", "true"),
        ("1 in [1, 2]", "true"),
        ("'x' in {'x': 1}", "true"),
        ("true ? 1 : 2", "1"),
        ("[1, 2, 3][1]", "2"),
        ("[1][5]", "error: index out of bounds: 5"),
        ("{'a': 1}['b']", "error: no such key: b"),
        ("{'a': 1}.a", "1"),
        ("--1", "1"),
        ("-(-1)", "1"),
        ("!!true", "true"),
        ("1000000.0", "1e+06"),
        ("string(0.00001)", "1e-05"),
        ("b'abc' == bytes('abc')", "true"),
        ("r'\\d' == '\\\\d'", "true"),
        ("'\\u00e9'.size()", "1"),
    ]);
}

#[test]
fn errors_are_absorbed_by_logic() {
    check(&[
        ("1 / 0 == 1 || true", "true"),
        ("1 / 0 == 1 && false", "false"),
        ("1 / 0 == 1 || false", "error: division by zero"),
        ("[0, 1].exists(x, 1 / x == 1)", "true"),
        ("[1, 0].all(x, 1 / x == 2)", "false"),
        ("[0].map(x, 1 / x)", "error: division by zero"),
    ]);
}

#[test]
fn macros_walk_over_lists_and_maps() {
    check(&[
        ("[1, 2, 3].all(x, x > 0)", "true"),
        ("[1, 2, 3].exists_one(x, x > 2)", "true"),
        ("[1, 2, 3].map(x, x * 2)", "[2, 4, 6]"),
        ("[1, 2, 3].map(x, x > 1, x * 2)", "[4, 6]"),
        ("[1, 2, 3].filter(x, x > 1)", "[2, 3]"),
        ("{'a': 1, 'b': 2}.map(k, k)", "[a, b]"),
        ("[[1, 2], [3]].map(l, l.map(x, x + 1))", "[[2, 3], [4]]"),
        ("['a', 'b'].transformList(i, v, string(i) + v)", "[0a, 1b]"),
        ("{'a': 1}.transformMap(k, v, v + 1)", "{a: 2}"),
        ("{'a': 'b'}.transformMapEntry(k, v, {v: k})", "{b: a}"),
        ("[1, 2].all(i, v, v == i + 1)", "true"),
        ("{'a': 1}.exists(k, v, k == 'a' && v == 1)", "true"),
        ("[3, 1, 2].sortBy(x, -x)", "[3, 2, 1]"),
        (
            "[1].all(x.y, true)",
            "ERROR: <input>:1:10: argument must be a simple name\n | [1].all(x.y, true)\n | .........^",
        ),
    ]);
}

#[test]
fn optionals_chain() {
    check(&[
        ("self.?a.orValue(0)", "1"),
        ("self.?b.orValue(5)", "5"),
        ("self.?map.?nothing.hasValue()", "false"),
        ("self[?'a'].value()", "1"),
        ("optional.none().hasValue()", "false"),
        ("optional.of(1).optMap(x, x + 1).value()", "2"),
        ("self.?list[?0].optMap(x, x + 1).orValue(7)", "2"),
        ("[?self.?a, ?self.?b]", "[1]"),
        ("{?'a': self.?a, ?'b': self.?b}", "{a: 1}"),
        ("has(self.a) && !has(self.b)", "true"),
        ("has(self.map.nothing)", "false"),
        ("optional.none().value()", "error: optional.none() dereference"),
    ]);
}

#[test]
fn what_is_wrong_is_told_in_the_words_of_upstream() {
    check(&[
        ("foo", "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^"),
        (
            "1 + 'a'",
            "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 + 'a'\n | ..^",
        ),
        ("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
        ("true && 1", "ERROR: <input>:1:9: expected type 'bool' but found 'int'\n | true && 1\n | ........^"),
        ("'a'.foo()", "ERROR: <input>:1:8: undeclared reference to 'foo' (in container '')\n | 'a'.foo()\n | .......^"),
        (
            "'a'.size(1)",
            "ERROR: <input>:1:9: found no matching overload for 'size' applied to 'string.(int)'\n | 'a'.size(1)\n | ........^",
        ),
        ("'a'.b", "ERROR: <input>:1:4: type 'string' does not support field selection\n | 'a'.b\n | ...^"),
        ("duration('x')", "ERROR: <input>:1:10: invalid duration argument\n | duration('x')\n | .........^"),
        ("'a'.matches('(')", "ERROR: <input>:1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^"),
        (
            "1 +",
            "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 +\n | ...^",
        ),
        ("int('a')", "instantiation: type conversion error from 'string' to 'int'"),
    ]);
}
