// Evaluates each case's expression in .NET, with Newtonsoft.Json, and prints what
// it gives: one line for each case. What the gateway provides, `context` and the
// functions that it adds to .NET's types, is pretended here in its simplest form;
// all else is .NET's own answer.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Text;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

public class Lists {
    readonly List<KeyValuePair<string, string[]>> all = new List<KeyValuePair<string, string[]>>();
    public void Add(string name, string value) {
        for (int i = 0; i < all.Count; i++) {
            if (string.Equals(all[i].Key, name, StringComparison.OrdinalIgnoreCase)) {
                all[i] = new KeyValuePair<string, string[]>(all[i].Key, all[i].Value.Concat(new[] { value }).ToArray());
                return;
            }
        }
        all.Add(new KeyValuePair<string, string[]>(name, new[] { value }));
    }
    string[] Find(string name) {
        if (name == null) throw new ArgumentNullException();
        return all.Where(e => string.Equals(e.Key, name, StringComparison.OrdinalIgnoreCase)).Select(e => e.Value).FirstOrDefault();
    }
    public string[] this[string name] { get { var found = Find(name); if (found == null) throw new KeyNotFoundException(); return found; } }
    public bool ContainsKey(string name) { return Find(name) != null; }
    public int Count { get { return all.Count; } }
    public string GetValueOrDefault(string name, string otherwise = null) { var found = Find(name); return found == null ? otherwise : string.Join(",", found); }
}

public class Texts {
    public readonly Dictionary<string, string> All = new Dictionary<string, string>();
    public string this[string name] { get { return All[name]; } }
    public bool ContainsKey(string name) { return All.ContainsKey(name); }
    public int Count { get { return All.Count; } }
    public string GetValueOrDefault(string name, string otherwise = null) { return All.ContainsKey(name) ? All[name] : otherwise; }
}

// A variable that is not there is null; the wrong type is an error.
public class Variables {
    public readonly Dictionary<string, object> All = new Dictionary<string, object>();
    public object this[string name] { get { object found; All.TryGetValue(name, out found); return found; } }
    public bool ContainsKey(string name) { return All.ContainsKey(name); }
    public int Count { get { return All.Count; } }
    public object GetValueOrDefault(string name) { return this[name]; }
    public T GetValueOrDefault<T>(string name, T otherwise = default(T)) { return All.ContainsKey(name) ? (T)All[name] : otherwise; }
}

public class Body {
    string text;
    bool read;
    public Body(string text) { this.text = text; }
    public T As<T>(bool preserveContent = false) {
        if (read) throw new InvalidOperationException();
        read = !preserveContent;
        if (typeof(T) == typeof(string)) return (T)(object)text;
        if (typeof(T) == typeof(byte[])) return (T)(object)Encoding.UTF8.GetBytes(text);
        return (T)(object)JToken.Parse(text);
    }
}

public class IUrl {
    public string Scheme, Host, Path, QueryString;
    public int Port;
    public Lists Query = new Lists();
    public override string ToString() {
        bool standard = Scheme == "https" && Port == 443 || Scheme == "http" && Port == 80;
        return Scheme + "://" + Host + (standard ? "" : ":" + Port) + Path + QueryString;
    }
}

public class IResponse { public int StatusCode; public string StatusReason; public Lists Headers = new Lists(); public Body Body; }
public class IRequest { public string Method, IpAddress; public Lists Headers = new Lists(); public Texts MatchedParameters = new Texts(); public IUrl Url, OriginalUrl; public Body Body; }
public class LastError { public string Source, Reason, Message, Scope, Section, Path, PolicyId; }
public class User { public string Id, Email, FirstName, LastName, Note; }
public class Api { public string Id, Name, Path, Version, Revision; public IUrl ServiceUrl; }
public class Operation { public string Id, Name, Method, UrlTemplate; }
public class Product { public string Id, Name; }
public class Subscription { public string Id, Name; }
public class Deployment { public string Region, ServiceName, ServiceId, GatewayId; }

public class Context {
    public Variables Variables = new Variables();
    public IRequest Request = new IRequest();
    public IResponse Response;
    public LastError LastError = new LastError();
    public User User = new User();
    public Api Api = new Api();
    public Operation Operation = new Operation();
    public Product Product = null;
    public Subscription Subscription = new Subscription();
    public Deployment Deployment = new Deployment();
    public Guid RequestId;
    public TimeSpan Elapsed;
    public DateTime Timestamp;
    public bool Tracing = false;
    public void Trace(string message) { }
}

public class BasicAuthCredentials { public string UserId, Password; }

public class Jwt {
    public JObject Header, Payload;
    string Text(JObject of, string name) { return (string)of[name]; }
    DateTime? Time(string name) { return Payload[name] == null ? (DateTime?)null : new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddSeconds((long)Payload[name]); }
    public string Algorithm { get { return Text(Header, "alg"); } }
    public string Type { get { return Text(Header, "typ"); } }
    public string Id { get { return Text(Payload, "jti"); } }
    public string Issuer { get { return Text(Payload, "iss"); } }
    public string Subject { get { return Text(Payload, "sub"); } }
    public DateTime? ExpirationTime { get { return Time("exp"); } }
    public DateTime? NotBefore { get { return Time("nbf"); } }
    public DateTime? IssuedAt { get { return Time("iat"); } }
    public string[] Audiences { get { return Payload["aud"].Select(a => (string)a).ToArray(); } }
    public Lists Claims { get {
        var lists = new Lists();
        foreach (var p in Payload.Properties()) {
            if (p.Value is JArray) foreach (var v in p.Value) lists.Add(p.Name, (string)v); else lists.Add(p.Name, (string)p.Value);
        }
        return lists;
    } }
}

public static class Extensions {
    public static bool ContainsKey(this JObject of, string name) { return of.Property(name) != null; }
    public static Jwt AsJwt(this string text) {
        if (text == null) throw new NullReferenceException();
        var parts = text.Replace("Bearer ", "").Split('.');
        if (parts.Length != 3) return null;
        try { return new Jwt { Header = Part(parts[0]), Payload = Part(parts[1]) }; } catch (Exception) { return null; }
    }
    static JObject Part(string text) {
        text = text.Replace('-', '+').Replace('_', '/');
        while (text.Length % 4 > 0) text += "=";
        return JObject.Parse(Encoding.UTF8.GetString(Convert.FromBase64String(text)));
    }
    public static BasicAuthCredentials AsBasic(this string text) {
        if (!text.StartsWith("Basic ")) return null;
        try {
            var both = Encoding.UTF8.GetString(Convert.FromBase64String(text.Substring(6)));
            var at = both.IndexOf(':');
            return new BasicAuthCredentials { UserId = both.Substring(0, at), Password = both.Substring(at + 1) };
        } catch (Exception) { return null; }
    }
}

public static partial class Oracle {
    static IUrl Url(JToken from) {
        var url = new IUrl { Scheme = (string)from["scheme"], Host = (string)from["host"], Port = (int)from["port"], Path = (string)from["path"], QueryString = (string)from["query"] };
        foreach (var p in ((JObject)from["lists"]).Properties()) foreach (var v in p.Value) url.Query.Add(p.Name, (string)v);
        return url;
    }

    static IResponse Response(JToken from) {
        var response = new IResponse { StatusCode = (int)from["status"], StatusReason = (string)from["reason"] };
        foreach (var h in from["headers"]) response.Headers.Add((string)h[0], (string)h[1]);
        var body = (string)from["body"];
        if (body != null) response.Body = new Body(body);
        return response;
    }

    static object Variable(JToken from) {
        switch (from.Type) {
            case JTokenType.String: return (string)from;
            case JTokenType.Boolean: return (bool)from;
            case JTokenType.Integer: return (int)from;
            case JTokenType.Null: return null;
        }
        var kind = ((JObject)from).Properties().First();
        switch (kind.Name) {
            case "long": return (long)kind.Value;
            case "double": return (double)kind.Value;
            case "guid": return Guid.Parse((string)kind.Value);
            case "date": return DateTime.Parse((string)kind.Value, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal);
            case "json": return JToken.Parse((string)kind.Value);
            default: return Response(kind.Value);
        }
    }

    static Context World(string text) {
        var world = JsonConvert.DeserializeObject<JObject>(text, new JsonSerializerSettings { DateParseHandling = DateParseHandling.None });
        var context = new Context();
        foreach (var p in ((JObject)world["variables"]).Properties()) context.Variables.All[p.Name] = Variable(p.Value);
        var request = world["request"];
        context.Request.Method = (string)request["method"];
        context.Request.IpAddress = (string)request["ip"];
        foreach (var h in request["headers"]) context.Request.Headers.Add((string)h[0], (string)h[1]);
        foreach (var p in ((JObject)request["parameters"]).Properties()) context.Request.MatchedParameters.All[p.Name] = (string)p.Value;
        context.Request.Body = new Body((string)request["body"]);
        context.Request.Url = Url(request["url"]);
        context.Request.OriginalUrl = Url(request["original"]);
        context.Response = Response(world["response"]);
        context.Api.ServiceUrl = Url(world["service"]);
        var parts = new object[] { context.LastError, context.User, context.Api, context.Operation, context.Subscription, context.Deployment };
        foreach (var p in ((JObject)world["texts"]).Properties()) {
            var part = parts.First(o => p.Name.StartsWith(o.GetType().Name));
            part.GetType().GetField(p.Name.Substring(part.GetType().Name.Length)).SetValue(part, (string)p.Value);
        }
        context.RequestId = Guid.Parse((string)world["requestId"]);
        context.Elapsed = TimeSpan.FromTicks((long)world["elapsed"]);
        context.Timestamp = DateTime.Parse((string)world["timestamp"], CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal);
        return context;
    }

    static string Quoted(string text) { return JsonConvert.ToString(text); }

    static string Shown(object value) {
        if (value == null) return "null";
        if (value is string) return "string " + Quoted((string)value);
        if (value is char) return "char " + Quoted(value.ToString());
        if (value is double) return "double " + ((double)value).ToString("R");
        if (value is DateTime) return "DateTime " + ((DateTime)value).ToString("yyyy-MM-ddTHH:mm:ss.fffffff") + " " + ((DateTime)value).Kind;
        if (value is DateTimeOffset) return "DateTimeOffset " + ((DateTimeOffset)value).ToString("o");
        if (value is Uri) return "Uri " + Quoted(((Uri)value).OriginalString);
        if (value is byte[]) return "byte[] " + Convert.ToBase64String((byte[])value);
        if (value is string[]) return "string[] " + string.Join(" ", ((string[])value).Select(Quoted));
        if (value is JToken) return value.GetType().Name + " " + ((JToken)value).ToString(Formatting.None);
        if (value is bool) return "bool " + value;
        if (value is int) return "int " + value;
        if (value is long) return "long " + value;
        if (value is Guid || value is TimeSpan || value is Enum) return value.GetType().Name + " " + value;
        return value.GetType().Name;
    }

    public static void Main(string[] arguments) {
        CultureInfo.DefaultThreadCurrentCulture = System.Threading.Thread.CurrentThread.CurrentCulture = CultureInfo.InvariantCulture;
        var world = File.ReadAllText(arguments[0]);
        var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false));
        foreach (var one in All) {
            string line;
            try { line = Shown(one(World(world))); } catch (Exception e) { line = "throws " + e.GetType().Name; }
            output.Write(line + "\n");
        }
        output.Flush();
    }
}
