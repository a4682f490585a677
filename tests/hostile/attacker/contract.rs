//! The contract as attackers see it: the host's interfaces in the text of components, and
//! how its functions are called by core modules.

/// The host's interfaces as a component names them, as far as attacks need them.
pub(super) const IMPORTS: &str = r#"
(import "keyward:policy/exchange@0.1.0" (instance $exchange
  (export "exchange" (type $e (sub resource)))
  (type $side' (enum "request" "response"))
  (export "side" (type $side (eq $side')))
  (type $failure' (enum "wrong-phase" "invalid" "limit" "unavailable"))
  (export "exchange-failure" (type $failure (eq $failure')))
  (type $verdict' (enum "proceed" "respond" "fail"))
  (export "verdict" (type $verdict (eq $verdict')))
  (type $options' (record (field "route" (option string))
    (field "timeout-milliseconds" (option u32)) (field "keep-body" bool)))
  (export "forward-options" (type $options (eq $options')))
  (type $unforwarded' (enum "wrong-phase" "denied" "invalid" "limit" "body-gone" "timed-out"
    "unavailable" "upstream"))
  (export "forward-failure" (type $unforwarded (eq $unforwarded')))
  (export "[method]exchange.forward" (func (param "self" (borrow $e)) (param "options" $options)
    (result (result (error $unforwarded)))))
  (type $plan' (record (field "route" (option string)) (field "path-prefix" (option string))
    (field "timeout-milliseconds" (option u32))))
  (export "forward-plan" (type $plan (eq $plan')))
  (export "[method]exchange.plan-forward" (func (param "self" (borrow $e)) (param "plan" $plan)
    (result (result (error $unforwarded)))))
  (export "[method]exchange.failed-forward" (func (param "self" (borrow $e))
    (result (option $unforwarded))))
  (export "[method]exchange.status" (func (param "self" (borrow $e)) (result (option u16))))
  (export "[method]exchange.set-status" (func (param "self" (borrow $e)) (param "status" u16)
    (result (result (error $failure)))))
  (export "[method]exchange.header" (func (param "self" (borrow $e)) (param "of" $side)
    (param "name" string) (param "index" u32) (result (option (list u8)))))
  (export "[method]exchange.set-header" (func (param "self" (borrow $e)) (param "of" $side)
    (param "name" string) (param "value" (list u8)) (result (result (error $failure)))))
  (export "[method]exchange.header-values" (func (param "self" (borrow $e)) (param "of" $side)
    (param "name" string) (result (list (list u8)))))
  (type $line' (record (field "method" string) (field "path" string)
    (field "query" (option string))))
  (export "request-line" (type $line (eq $line')))
  (export "[method]exchange.request-line" (func (param "self" (borrow $e)) (result $line)))
  (export "[method]exchange.header-names" (func (param "self" (borrow $e)) (param "of" $side)
    (result (list string))))
  (export "[method]exchange.read-body" (func (param "self" (borrow $e)) (param "of" $side)
    (param "max" u32) (result (result (option (list u8)) (error $failure)))))
  (export "[method]exchange.write-body" (func (param "self" (borrow $e)) (param "of" $side)
    (param "part" (list u8)) (result (result (error $failure)))))
))
(alias export $exchange "exchange" (type $ex))
(alias export $exchange "verdict" (type $vd))
(import "keyward:policy/variables@0.1.0" (instance $variables
  (type $failure' (enum "invalid" "limit"))
  (export "variable-failure" (type $failure (eq $failure')))
  (export "get" (func (param "name" string) (result (option (list u8)))))
  (export "set" (func (param "name" string) (param "value" (list u8))
    (result (result (error $failure)))))
))
(import "keyward:policy/egress@0.1.0" (instance $egress
  (type $failure' (enum "denied" "invalid" "limit" "unavailable" "upstream"))
  (export "egress-failure" (type $failure (eq $failure')))
  (type $late' (enum "denied" "invalid" "limit" "timed-out" "unavailable" "upstream"))
  (export "call-failure" (type $late (eq $late')))
  (export "request" (type $request (sub resource)))
  (export "response" (type $response (sub resource)))
  (export "[static]request.new" (func (param "route" string) (param "method" string)
    (param "path" string) (result (result (own $request) (error $failure)))))
  (export "[method]request.write-body" (func (param "self" (borrow $request))
    (param "part" (list u8)) (result (result (error $failure)))))
  (export "[method]response.header-values" (func (param "self" (borrow $response))
    (param "name" string) (result (list (list u8)))))
  (export "[method]response.status" (func (param "self" (borrow $response)) (result u16)))
  (export "send" (func (param "request" (own $request))
    (result (result (own $response) (error $failure)))))
  (export "send-within" (func (param "request" (own $request)) (param "milliseconds" u32)
    (result (result (own $response) (error $late)))))
))
(alias export $egress "request" (type $rq))
(alias export $egress "response" (type $rs))
(import "keyward:policy/secrets@0.1.0" (instance $secrets
  (alias outer $C $ex (type $e'))
  (export "exchange" (type $e (eq $e')))
  (alias outer $C $rq (type $request'))
  (export "request" (type $request (eq $request')))
  (type $failure' (enum "denied" "invalid" "exhausted" "unavailable"))
  (export "secret-failure" (type $failure (eq $failure')))
  (export "credential" (type $credential (sub resource)))
  (export "signer" (type $signer (sub resource)))
  (export "mac-signer" (type $mac-signer (sub resource)))
  (export "mac-verifier" (type $mac-verifier (sub resource)))
  (export "client-keys" (type $client-keys (sub resource)))
  (export "token" (type $token (sub resource)))
  (export "shared-access" (type $shared-access (sub resource)))
  (export "presigner" (type $presigner (sub resource)))
  (export "connection" (type $connection (sub resource)))
  (export "jwt-verifier" (type $jwt-verifier (sub resource)))
  (export "sealer" (type $sealer (sub resource)))
  (export "opener" (type $opener (sub resource)))
  (export "tls-identity" (type $tls-identity (sub resource)))
  (export "jws-signer" (type $jws-signer (sub resource)))
  (export "database" (type $database (sub resource)))
  (type $permissions' (flags "read" "add" "create" "write" "delete" "list" "tags" "update"
    "process"))
  (export "shared-access-permissions" (type $permissions (eq $permissions')))
  (type $scope' (enum "item" "directory" "container" "account"))
  (export "shared-access-scope" (type $scope (eq $scope')))
  (type $terms' (record (field "scope" $scope) (field "permissions" $permissions)
    (field "lifetime-seconds" (option u32))))
  (export "shared-access-terms" (type $terms (eq $terms')))
  (type $verified' (record (field "claims" string) (field "algorithm" string)
    (field "key-id" (option string)) (field "token-type" (option string))))
  (export "verified-jwt" (type $verified (eq $verified')))
  (type $jwt-failure' (enum "denied" "exhausted" "unavailable" "missing" "malformed" "algorithm"
    "signature" "expired" "not-yet-valid" "issuer" "audience"))
  (export "jwt-failure" (type $jwt-failure (eq $jwt-failure')))
  (type $claim-value' (variant (case "text" string) (case "integer" s64) (case "flag" bool)
    (case "texts" (list string))))
  (export "claim-value" (type $claim-value (eq $claim-value')))
  (type $claim' (record (field "name" string) (field "value" $claim-value)))
  (export "token-claim" (type $claim (eq $claim')))
  (type $claims' (record (field "audience" (option string)) (field "subject" (option string))
    (field "extra" (list $claim))))
  (export "token-claims" (type $claims (eq $claims')))
  (type $query-value' (variant (case "null") (case "boolean" bool) (case "integer" s64)
    (case "float" f64) (case "text" string) (case "bytes" (list u8)) (case "timestamp" s64)))
  (export "query-value" (type $query-value (eq $query-value')))
  (type $rows' (record (field "columns" (list string)) (field "rows" (list (list $query-value)))
    (field "affected" u64)))
  (export "query-rows" (type $rows (eq $rows')))
  (type $query-failure' (enum "denied" "invalid" "exhausted" "limit" "unavailable" "upstream"))
  (export "query-failure" (type $query-failure (eq $query-failure')))
  (export "[static]credential.open" (func (param "alias" string)
    (result (result (own $credential) (error $failure)))))
  (export "[method]credential.attach" (func (param "self" (borrow $credential))
    (param "to" (borrow $e)) (result (result (error $failure)))))
  (export "[method]signer.attach" (func (param "self" (borrow $signer))
    (param "to" (borrow $e)) (result (result (error $failure)))))
  (export "[static]mac-signer.open" (func (param "alias" string)
    (result (result (own $mac-signer) (error $failure)))))
  (export "[method]mac-signer.sign" (func (param "self" (borrow $mac-signer))
    (param "message" (list u8)) (result (result (list u8) (error $failure)))))
  (export "[method]mac-verifier.verify" (func (param "self" (borrow $mac-verifier))
    (param "message" (list u8)) (param "code" (list u8)) (result (result bool (error $failure)))))
  (export "[method]client-keys.identify" (func (param "self" (borrow $client-keys))
    (param "exchange" (borrow $e)) (result (result (option string) (error $failure)))))
  (export "[static]signer.open" (func (param "alias" string)
    (result (result (own $signer) (error $failure)))))
  (export "[static]mac-verifier.open" (func (param "alias" string)
    (result (result (own $mac-verifier) (error $failure)))))
  (export "[static]client-keys.open" (func (param "alias" string)
    (result (result (own $client-keys) (error $failure)))))
  (export "[static]token.open" (func (param "alias" string)
    (result (result (own $token) (error $failure)))))
  (export "[static]shared-access.open" (func (param "alias" string)
    (result (result (own $shared-access) (error $failure)))))
  (export "[static]presigner.open" (func (param "alias" string)
    (result (result (own $presigner) (error $failure)))))
  (export "[static]connection.open" (func (param "alias" string)
    (result (result (own $connection) (error $failure)))))
  (export "[static]jwt-verifier.open" (func (param "alias" string)
    (result (result (own $jwt-verifier) (error $failure)))))
  (export "[static]sealer.open" (func (param "alias" string)
    (result (result (own $sealer) (error $failure)))))
  (export "[static]opener.open" (func (param "alias" string)
    (result (result (own $opener) (error $failure)))))
  (export "[static]tls-identity.open" (func (param "alias" string)
    (result (result (own $tls-identity) (error $failure)))))
  (export "[static]jws-signer.open" (func (param "alias" string)
    (result (result (own $jws-signer) (error $failure)))))
  (export "[static]database.open" (func (param "alias" string)
    (result (result (own $database) (error $failure)))))
  (export "[method]credential.attach-with" (func (param "self" (borrow $credential)) (param "to" (borrow $e)) (param "holes" (list (tuple string string)))
    (result (result (error $failure)))))
  (export "[method]credential.attach-to-request" (func (param "self" (borrow $credential)) (param "to" (borrow $request))
    (result (result (error $failure)))))
  (export "[method]token.attach" (func (param "self" (borrow $token)) (param "to" (borrow $e))
    (result (result (error $failure)))))
  (export "[method]token.attach-to-request" (func (param "self" (borrow $token)) (param "to" (borrow $request))
    (result (result (error $failure)))))
  (export "[method]presigner.attach" (func (param "self" (borrow $presigner)) (param "to" (borrow $e))
    (result (result (error $failure)))))
  (export "[method]presigner.attach-to-request" (func (param "self" (borrow $presigner)) (param "to" (borrow $request))
    (result (result (error $failure)))))
  (export "[method]tls-identity.attach" (func (param "self" (borrow $tls-identity)) (param "to" (borrow $e))
    (result (result (error $failure)))))
  (export "[method]tls-identity.attach-to-request" (func (param "self" (borrow $tls-identity)) (param "to" (borrow $request))
    (result (result (error $failure)))))
  (export "[method]token.attach-on-behalf-of" (func (param "self" (borrow $token)) (param "to" (borrow $e)) (param "subject-token" string)
    (result (result (error $failure)))))
  (export "[method]shared-access.attach" (func (param "self" (borrow $shared-access)) (param "to" (borrow $e)) (param "terms" $terms)
    (result (result (error $failure)))))
  (export "[method]shared-access.attach-to-request" (func (param "self" (borrow $shared-access)) (param "to" (borrow $request)) (param "terms" $terms)
    (result (result (error $failure)))))
  (export "[method]connection.part" (func (param "self" (borrow $connection)) (param "name" string)
    (result (result (option string) (error $failure)))))
  (export "[static]jwt-verifier.open-issuer" (func (param "name" string)
    (result (result (own $jwt-verifier) (error $failure)))))
  (export "[method]jwt-verifier.verify" (func (param "self" (borrow $jwt-verifier)) (param "token" string)
    (result (result $verified (error $jwt-failure)))))
  (export "[method]sealer.seal" (func (param "self" (borrow $sealer)) (param "plaintext" (list u8)) (param "context" (list u8))
    (result (result (list u8) (error $failure)))))
  (export "[method]opener.open-sealed" (func (param "self" (borrow $opener)) (param "sealed" (list u8)) (param "context" (list u8))
    (result (result (list u8) (error $failure)))))
  (export "[method]jws-signer.attach" (func (param "self" (borrow $jws-signer)) (param "to" (borrow $e)) (param "claims" $claims)
    (result (result (error $failure)))))
  (export "[method]jws-signer.attach-to-request" (func (param "self" (borrow $jws-signer)) (param "to" (borrow $request)) (param "claims" $claims)
    (result (result (error $failure)))))
  (export "[method]jws-signer.sign" (func (param "self" (borrow $jws-signer)) (param "claims" $claims)
    (result (result string (error $failure)))))
  (export "[method]database.query" (func (param "self" (borrow $database)) (param "statement" string) (param "parameters" (list $query-value))
    (result (result $rows (error $query-failure)))))
))
(alias export $secrets "credential" (type $cr))
(alias export $secrets "signer" (type $sg))
(alias export $secrets "mac-signer" (type $ms))
(alias export $secrets "mac-verifier" (type $mv))
(alias export $secrets "client-keys" (type $ck))
(alias export $secrets "token" (type $tk))
(alias export $secrets "shared-access" (type $sa))
(alias export $secrets "presigner" (type $pr))
(alias export $secrets "connection" (type $cn))
(alias export $secrets "jwt-verifier" (type $jv))
(alias export $secrets "sealer" (type $se))
(alias export $secrets "opener" (type $op))
(alias export $secrets "tls-identity" (type $ti))
(alias export $secrets "jws-signer" (type $js))
(alias export $secrets "database" (type $db))
(import "keyward:policy/log@0.1.0" (instance $log
  (type $level' (enum "debug" "info" "warn" "error"))
  (export "level" (type $level (eq $level')))
  (export "write" (func (param "level" $level) (param "message" string)))
))
(import "keyward:policy/counters@0.1.0" (instance $counters
  (type $failure' (enum "invalid" "unavailable"))
  (export "counter-failure" (type $failure (eq $failure')))
  (export "increment" (func (param "name" string) (param "by" u32) (param "window-seconds" u32)
    (result (result u64 (error $failure)))))
))
(alias export $counters "counter-failure" (type $cf))
(import "keyward:policy/cache@0.1.0" (instance $cache
  (type $failure' (enum "invalid" "limit" "unavailable"))
  (export "cache-failure" (type $failure (eq $failure')))
  (export "get" (func (param "key" string) (result (option (list u8)))))
  (export "set" (func (param "key" string) (param "value" (list u8)) (param "seconds" u32)
    (result (result (error $failure)))))
  (export "remove" (func (param "key" string) (result (result (error $failure)))))
))
(import "keyward:policy/concurrency@0.1.0" (instance $concurrency
  (alias outer $C $cf (type $failure'))
  (export "counter-failure" (type $failure (eq $failure')))
  (export "place" (type $place (sub resource)))
  (export "enter" (func (param "key" string) (param "most" u32)
    (result (result (option (own $place)) (error $failure)))))
))
(alias export $concurrency "place" (type $pl))
(import "keyward:policy/clock@0.1.0" (instance $clock
  (export "now" (func (result u64)))
  (export "sleep" (func (param "milliseconds" u32) (result bool)))
))
(import "keyward:policy/random@0.1.0" (instance $random
  (export "bytes" (func (param "length" u32) (result (list u8))))
))
"#;

/// A function that `main` may import from `host`.
pub(crate) struct Function {
    /// Its name there.
    pub(crate) name: &'static str,
    /// Its interface, and its name in that.
    pub(super) instance: &'static str,
    pub(super) function: &'static str,
    /// How many numbers it takes, where its result goes included.
    pub(crate) parameters: usize,
    pub(crate) result: Returned,
}

/// Where a function's result is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    Nowhere,
    /// In memory, where the last parameter says.
    InMemory,
    /// On the stack: this type.
    Number(&'static str),
}

impl Function {
    /// Each, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        FUNCTIONS.lines().map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap();
            Self {
                name: next(),
                instance: next(),
                function: next(),
                parameters: next().parse().unwrap(),
                result: match next() {
                    "-" => Returned::Nowhere,
                    "out" => Returned::InMemory,
                    number => Returned::Number(number),
                },
            }
        })
    }

    /// Its type in a core module.
    pub(super) fn to_type(&self) -> String {
        let result = match self.result {
            Returned::Number(number) => format!("(result {number})"),
            _ => String::new(),
        };
        format!("(param{}) {result}", " i32".repeat(self.parameters))
    }
}

/// The functions: name, interface, name there, parameters, result.
const FUNCTIONS: &str = "\
status exchange [method]exchange.status 2 out
set-status exchange [method]exchange.set-status 3 out
header exchange [method]exchange.header 6 out
set-header exchange [method]exchange.set-header 7 out
header-names exchange [method]exchange.header-names 3 out
read-body exchange [method]exchange.read-body 4 out
write-body exchange [method]exchange.write-body 5 out
get variables get 3 out
set variables set 5 out
request egress [static]request.new 7 out
request-body egress [method]request.write-body 4 out
response-status egress [method]response.status 1 i32
send egress send 2 out
send-within egress send-within 3 out
open secrets [static]credential.open 3 out
attach secrets [method]credential.attach 3 out
sign-request secrets [method]signer.attach 3 out
open-mac secrets [static]mac-signer.open 3 out
sign secrets [method]mac-signer.sign 4 out
verify secrets [method]mac-verifier.verify 6 out
identify secrets [method]client-keys.identify 3 out
log log write 3 -
increment counters increment 5 out
now clock now 0 i64
random random bytes 2 out
open-signer secrets [static]signer.open 3 out
open-mac-verifier secrets [static]mac-verifier.open 3 out
open-client-keys secrets [static]client-keys.open 3 out
open-token secrets [static]token.open 3 out
open-shared-access secrets [static]shared-access.open 3 out
open-presigner secrets [static]presigner.open 3 out
open-connection secrets [static]connection.open 3 out
open-jwt-verifier secrets [static]jwt-verifier.open 3 out
open-sealer secrets [static]sealer.open 3 out
open-opener secrets [static]opener.open 3 out
open-tls-identity secrets [static]tls-identity.open 3 out
open-jws-signer secrets [static]jws-signer.open 3 out
open-database secrets [static]database.open 3 out
attach-with secrets [method]credential.attach-with 5 out
attach-to secrets [method]credential.attach-to-request 3 out
attach-token secrets [method]token.attach 3 out
attach-token-to secrets [method]token.attach-to-request 3 out
attach-presigner secrets [method]presigner.attach 3 out
attach-presigner-to secrets [method]presigner.attach-to-request 3 out
attach-tls-identity secrets [method]tls-identity.attach 3 out
attach-tls-identity-to secrets [method]tls-identity.attach-to-request 3 out
on-behalf-of secrets [method]token.attach-on-behalf-of 5 out
attach-shared-access secrets [method]shared-access.attach 7 out
attach-shared-access-to secrets [method]shared-access.attach-to-request 7 out
part secrets [method]connection.part 4 out
open-issuer secrets [static]jwt-verifier.open-issuer 3 out
verify-jwt secrets [method]jwt-verifier.verify 4 out
seal secrets [method]sealer.seal 6 out
open-sealed secrets [method]opener.open-sealed 6 out
attach-jws secrets [method]jws-signer.attach 11 out
attach-jws-to secrets [method]jws-signer.attach-to-request 11 out
sign-jws secrets [method]jws-signer.sign 10 out
query secrets [method]database.query 6 out
forward exchange [method]exchange.forward 8 out
plan-forward exchange [method]exchange.plan-forward 10 out
failed-forward exchange [method]exchange.failed-forward 2 out
cache-get cache get 3 out
cache-set cache set 6 out
cache-remove cache remove 3 out
enter concurrency enter 4 out
sleep clock sleep 1 i32
header-values exchange [method]exchange.header-values 5 out
request-line exchange [method]exchange.request-line 2 out
response-header-values egress [method]response.header-values 4 out";

/// The handles that a guest can drop: their name in `main`, and the type.
pub(crate) const DROPS: &[(&str, &str)] = &[
    ("drop", "$ex"),
    ("drop-request", "$rq"),
    ("drop-response", "$rs"),
    ("drop-credential", "$cr"),
    ("drop-signer", "$sg"),
    ("drop-mac", "$ms"),
    ("drop-verifier", "$mv"),
    ("drop-keys", "$ck"),
    ("drop-token", "$tk"),
    ("drop-shared-access", "$sa"),
    ("drop-presigner", "$pr"),
    ("drop-connection", "$cn"),
    ("drop-jwt-verifier", "$jv"),
    ("drop-sealer", "$se"),
    ("drop-opener", "$op"),
    ("drop-tls-identity", "$ti"),
    ("drop-jws-signer", "$js"),
    ("drop-database", "$db"),
    ("drop-place", "$pl"),
];
