//! Manifests.

use fuzz::Material;
use reconcile_core::yaml;

const MATERIAL: Material = Material {
    examples: &[
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n- 1\n- &x [a, ~]\n- *x\n",
        "a: |\n  text\n  more\nb: >-\n  folded\n",
        "? {complex: key}\n: value\n<<: {a: 1}\n",
        "{\"a\": [1, 2.5e3, 0x1f, yes, null]}",
        "%YAML 1.1\n---\n!!binary aGk=\n...\n",
    ],
    tokens: &[
        "\n",
        "  ",
        "- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "[",
        "]",
        "{",
        "}",
        "|",
        ">",
        "---\n",
        "...\n",
        "!!str ",
        "\"",
        "'",
        "#",
        "<<: *a\n",
        "\t",
        "%",
        "@",
        "- &b [*a, *a]\n",
    ],
};

#[test]
fn yaml() {
    fuzz::run(MATERIAL, |text| {
        if let Ok(documents) = yaml::documents(text) {
            for document in documents {
                let _ = yaml::to_string(&document.value);
            }
        }
        let _ = yaml::documents_of_bytes(text.as_bytes());
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let _ = yaml::documents_of_bytes(&wide);
    });
}
