//! A path that a pipeline guards is reached in no other spelling.

use keyward_tests::{Backend, policy_file};

use crate::support::{get, raw, start, status};

#[tokio::test]
async fn a_guarded_path_is_reached_in_no_other_spelling() {
    let backend = Backend::start().await;
    let policy = policy_file("ip-filter");
    let rest = format!(
        "[[route]]\nname = \"backend\"\nurl = \"{}\"\n\
         [[policy]]\nname = \"nobody\"\ncomponent = \"{}\"\nsettings = {{ allow = [\"203.0.113.0/24\"] }}\n\
         [[pipeline]]\npath = \"/\"\nroute = \"backend\"\n\
         [[pipeline]]\npath = \"/admin\"\nroute = \"backend\"\ninbound = [\"nobody\"]\n",
        backend.url(),
        policy.display()
    );
    let running = start("", &rest, &[]).await;
    for (path, expected) in [
        ("/admin/users", "403"),
        ("/%61dmin/users", "403"),
        ("/adm%69n", "403"),
        ("/admin;x/users", "400"),
        ("/admin;/users", "400"),
        ("/admin%3bx/users", "400"),
        ("/;x/admin/users", "400"),
        ("/ADMIN/users", "400"),
        ("//admin/users", "400"),
        ("/x/../admin/users", "400"),
    ] {
        let answer = raw(running.address, &get(path, "")).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
    }
    assert!(backend.received().is_empty());
    // Control: elsewhere, parameters and escapes are nobody's business.
    for (path, arrives) in [
        ("/users;x=1/%C3%A4", "/users;x=1/%C3%A4"),
        ("/%7Eme", "/~me"),
    ] {
        let answer = raw(running.address, &get(path, "")).await;
        assert_eq!(status(&answer), "200", "{path}: {answer}");
        let received = backend.received();
        let last = received.last().unwrap();
        assert!(last.target.ends_with(arrives), "{}", last.target);
    }
}
