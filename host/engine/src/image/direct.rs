//! A component whose imports go straight to its main module.
//!
//! A function of the host that reads or writes a guest's memory needs that memory before
//! the guest can import the function, and the memory is the guest's. Tools that make
//! components solve that with two modules more: one with a stub for each function, which
//! the guest imports, and one that fills in the real ones afterwards. Each stub costs
//! time in each call of a policy, whether it is used or not.
//!
//! Here the memory moves into the module of the stubs, which then exists before the
//! guest, and the stubs and what fills them in go. What stays behind the guest is its
//! allocator: the host calls it through a table that the guest's own module fills in.
//!
//! The guest sees no difference: its functions, its memory and what they hold are as
//! before.

use std::collections::HashMap;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent, component_utils, utils};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component,
    ComponentAliasSection, ComponentExportKind, ConstExpr, ElementSection, Elements, EntityType,
    ExportKind, ExportSection, Function, FunctionSection, ImportSection, InstanceSection,
    MemorySection, MemoryType, Module, ModuleArg, RefType, TableSection, TableType, TypeSection,
    ValType,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ElementSectionReader, ExternalKind,
    ImportSectionReader, Instance, MemorySectionReader, Parser, Payload, TypeRef,
};

use super::outline::{CoreFunction, Lowered, Outline, index};

/// The name under which the main module imports what is made before it.
const FIRST: &str = "keyward:first";
const MEMORY: &str = "memory";
const TABLE: &str = "table";
const REALLOC: &str = "realloc";

/// The component in that form; none if it has another structure than the tools give it.
pub(crate) fn direct(component: &[u8]) -> Option<Vec<u8>> {
    let outline = Outline::of(component)?;
    let plan = Plan::of(&outline)?;
    let mut direct = Component::new();
    Rewriter {
        main: Main::of(outline.modules.get(index(plan.main_module)?)?, plan.realloc)?,
        plan,
        passed: 0,
        first: None,
        core_functions: Vec::new(),
        next_core_function: 0,
        functions: Vec::new(),
        next_function: 0,
        instances: Vec::new(),
        next_instance: 0,
        memories: Vec::new(),
        next_memory: 0,
    }
    .parse_component(&mut direct, Parser::new(0), component)
    .ok()?;
    let direct = direct.finish();
    // What follows from a structure that was misread is no component.
    let valid = wasmparser::Validator::new().validate_all(&direct);
    valid.is_ok().then_some(direct)
}

/// Which parts are which.
struct Plan<'a> {
    stubs: u32,
    stubs_module: u32,
    /// What fills the stubs in, and the instance of its arguments.
    filler: u32,
    filler_module: u32,
    arguments: u32,
    main: u32,
    main_module: u32,
    /// The name of the allocator among the main module's exports.
    realloc: &'a str,
    /// What a stub stands for, by its name: the host's function, and how it is lowered.
    lowered: HashMap<&'a str, (u32, &'a str, Lowered)>,
    /// The core functions that fill them in, by their index.
    filling: Vec<u32>,
}

impl<'a> Plan<'a> {
    fn of(outline: &Outline<'a>) -> Option<Self> {
        // The filler is the only module that gets a table.
        let gets_table = |instance: &Instance<'a>| match instance {
            Instance::FromExports(exports) => {
                let mut exports = exports.iter();
                exports
                    .find(|export| export.kind == ExternalKind::Table)
                    .map(|table| table.index)
            }
            Instance::Instantiate { .. } => None,
        };
        let mut with_table = outline.instances.iter().enumerate();
        let (arguments, table) =
            with_table.find_map(|(place, one)| Some((place, gets_table(one)?)))?;
        let more = outline.instances.iter().filter_map(gets_table).count();
        let (stubs, _) = *outline.tables.get(index(table)?)?;
        let (Instance::FromExports(fills), true) = (
            outline.instances.get(arguments)?,
            more == 1 && outline.tables.len() == 1,
        ) else {
            return None;
        };
        let arguments = u32::try_from(arguments).ok()?;
        let mut users = outline.instances.iter().enumerate().filter(|(_, one)| {
            matches!(one, Instance::Instantiate { args, .. }
                if args.iter().any(|argument| argument.index == arguments))
        });
        let (filler, Instance::Instantiate { module_index, args }) = users.next()? else {
            return None;
        };
        if users.next().is_some() || args.len() != 1 {
            return None;
        }
        let (filler, filler_module) = (u32::try_from(filler).ok()?, *module_index);
        let Instance::Instantiate { module_index, args } = outline.instances.get(index(stubs)?)?
        else {
            return None;
        };
        let (stubs_module, true) = (*module_index, args.is_empty()) else {
            return None;
        };

        let mut plan = Plan {
            stubs,
            stubs_module,
            filler,
            filler_module,
            arguments,
            main: u32::MAX,
            main_module: u32::MAX,
            realloc: "",
            lowered: HashMap::new(),
            filling: Vec::new(),
        };
        for fill in fills.iter().filter(|fill| fill.kind == ExternalKind::Func) {
            let function = outline.core_functions.get(index(fill.index)?)?;
            let CoreFunction::Lowered(lowered) = function else {
                return None;
            };
            let from = outline.functions.get(index(lowered.function)?)?;
            let (instance, name) = (*from)?;
            plan.options(outline, lowered)?;
            let known = (instance, name, lowered.clone());
            plan.lowered.insert(fill.name, known);
            plan.filling.push(fill.index);
        }
        let Instance::Instantiate { module_index, .. } =
            outline.instances.get(index(plan.main)?)?
        else {
            return None;
        };
        plan.main_module = *module_index;
        let modules = [plan.main_module, plan.stubs_module, plan.filler_module];
        let once = |module: &u32| {
            let instances = outline.instances.iter().filter(|one| {
                matches!(one, Instance::Instantiate { module_index, .. } if module_index == module)
            });
            instances.count() == 1
        };
        (modules.iter().all(once) && !plan.realloc.is_empty()).then_some(plan)
    }

    /// All are lowered with the memory and the allocator of one instance.
    fn options(&mut self, outline: &Outline<'a>, lowered: &Lowered) -> Option<()> {
        use wasmparser::CanonicalOption as O;
        for option in &lowered.options {
            let instance = match option {
                O::UTF8 => continue,
                O::Memory(memory) => outline.memories.get(index(*memory)?)?.0,
                O::Realloc(function) => {
                    let function = outline.core_functions.get(index(*function)?)?;
                    let CoreFunction::Export { instance, name } = function else {
                        return None;
                    };
                    if !self.realloc.is_empty() && self.realloc != *name {
                        return None;
                    }
                    self.realloc = name;
                    *instance
                }
                _ => return None,
            };
            if self.main != u32::MAX && self.main != instance {
                return None;
            }
            self.main = instance;
        }
        Some(())
    }
}

/// What has to be known of the main module.
struct Main {
    memory: MemoryType,
    realloc: u32,
}

impl Main {
    fn of(module: &[u8], realloc: &str) -> Option<Self> {
        let (mut memory, mut function) = (None, None);
        let mut elements = false;
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        if !matches!(import.ok()?.ty, TypeRef::Func(_)) {
                            return None;
                        }
                    }
                }
                Payload::MemorySection(memories) => {
                    for one in memories {
                        if memory.replace(one.ok()?).is_some() {
                            return None;
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.ok()?;
                        if export.kind == ExternalKind::Func && export.name == realloc {
                            function = Some(export.index);
                        }
                    }
                }
                Payload::ElementSection(_) => elements = true,
                _ => {}
            }
        }
        let memory = memory?;
        let plain = !memory.memory64 && !memory.shared && memory.page_size_log2.is_none();
        (plain && elements).then_some(Main {
            memory: memory.into(),
            realloc: function?,
        })
    }

    /// The module that exists before the main one: its memory, and what calls its
    /// allocator.
    fn first(&self) -> Module {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut tables = TableSection::new();
        tables.table(table());
        let mut memories = MemorySection::new();
        memories.memory(self.memory);
        let mut exports = ExportSection::new();
        exports.export(MEMORY, ExportKind::Memory, 0);
        exports.export(TABLE, ExportKind::Table, 0);
        exports.export(REALLOC, ExportKind::Func, 0);
        let mut realloc = Function::new([]);
        let mut instructions = realloc.instructions();
        for parameter in 0..4 {
            instructions.local_get(parameter);
        }
        instructions.i32_const(0).call_indirect(0, 0).end();
        let mut code = CodeSection::new();
        code.function(&realloc);
        let mut first = Module::new();
        first.section(&types).section(&functions);
        first.section(&tables).section(&memories);
        first.section(&exports).section(&code);
        first
    }
}

fn table() -> TableType {
    TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: 1,
        maximum: Some(1),
        shared: false,
    }
}

/// Something refers to what is gone.
#[derive(Debug)]
struct Unfit;

type Error = reencode::Error<Unfit>;

/// The main module with its memory and the table imported.
impl Reencode for Main {
    type Error = Unfit;

    fn table_index(&mut self, table: u32) -> Result<u32, Error> {
        // The imported one comes first.
        Ok(table + 1)
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_import_section(self, imports, section)?;
        imports.import(FIRST, MEMORY, EntityType::Memory(self.memory));
        imports.import(FIRST, TABLE, EntityType::Table(table()));
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        _: &mut MemorySection,
        _: MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn parse_element_section(
        &mut self,
        elements: &mut ElementSection,
        section: ElementSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_element_section(self, elements, section)?;
        let functions = Elements::Functions(vec![self.realloc].into());
        elements.active(Some(0), &ConstExpr::i32_const(0), functions);
        Ok(())
    }
}

/// Writes the component, and what each index has become meanwhile.
struct Rewriter<'a> {
    main: Main,
    plan: Plan<'a>,
    /// Core modules that were written.
    passed: u32,
    /// The memory and the allocator of the first module, once they are named.
    first: Option<(u32, u32)>,
    core_functions: Vec<Option<u32>>,
    next_core_function: u32,
    functions: Vec<Option<u32>>,
    next_function: u32,
    instances: Vec<Option<u32>>,
    next_instance: u32,
    memories: Vec<Option<u32>>,
    next_memory: u32,
}

/// The next number of a sort.
fn next(counter: &mut u32) -> u32 {
    let number = *counter;
    *counter += 1;
    number
}

fn mapped(map: &[Option<u32>], of: u32) -> Result<u32, Error> {
    let found = index(of).and_then(|of| map.get(of).copied().flatten());
    found.ok_or(Error::UserError(Unfit))
}

impl Rewriter<'_> {
    fn one_alias(&mut self, component: &mut Component, alias: Alias<'_>) {
        let mut section = ComponentAliasSection::new();
        section.alias(alias);
        component.section(&section);
    }

    /// The memory and the allocator of the first module.
    fn first(&mut self, component: &mut Component) -> Result<(u32, u32), Error> {
        if let Some(first) = self.first {
            return Ok(first);
        }
        let instance = mapped(&self.instances, self.plan.stubs)?;
        for (kind, name) in [(ExportKind::Memory, MEMORY), (ExportKind::Func, REALLOC)] {
            let alias = Alias::CoreInstanceExport {
                instance,
                kind,
                name,
            };
            self.one_alias(component, alias);
        }
        let first = (
            next(&mut self.next_memory),
            next(&mut self.next_core_function),
        );
        self.first = Some(first);
        Ok(first)
    }

    /// Writes the function itself where a stub was named.
    fn in_place_of_stub(&mut self, component: &mut Component, stub: &str) -> Result<(), Error> {
        let (memory, realloc) = self.first(component)?;
        let known = self.plan.lowered.get(stub).ok_or(Error::UserError(Unfit))?;
        let (instance, name, lowered) = known.clone();
        let alias = Alias::InstanceExport {
            instance,
            kind: ComponentExportKind::Func,
            name,
        };
        self.one_alias(component, alias);
        let function = next(&mut self.next_function);
        let options = lowered.options.iter().map(|option| match option {
            wasmparser::CanonicalOption::Memory(_) => CanonicalOption::Memory(memory),
            wasmparser::CanonicalOption::Realloc(_) => CanonicalOption::Realloc(realloc),
            _ => CanonicalOption::UTF8,
        });
        let mut section = CanonicalFunctionSection::new();
        section.lower(function, options.collect::<Vec<_>>());
        component.section(&section);
        let written = next(&mut self.next_core_function);
        self.core_functions.push(Some(written));
        Ok(())
    }

    fn alias(&mut self, component: &mut Component, alias: ComponentAlias<'_>) -> Result<(), Error> {
        match alias {
            ComponentAlias::CoreInstanceExport {
                kind,
                instance_index,
                name,
            } if instance_index == self.plan.stubs => match kind {
                ExternalKind::Func => return self.in_place_of_stub(component, name),
                ExternalKind::Table => return Ok(()),
                _ => return Err(Error::UserError(Unfit)),
            },
            ComponentAlias::CoreInstanceExport {
                kind: ExternalKind::Func,
                ..
            } => {
                let written = next(&mut self.next_core_function);
                self.core_functions.push(Some(written));
            }
            ComponentAlias::CoreInstanceExport {
                kind: ExternalKind::Memory,
                ..
            } => {
                let written = next(&mut self.next_memory);
                self.memories.push(Some(written));
            }
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Func,
                ..
            } => {
                let written = next(&mut self.next_function);
                self.functions.push(Some(written));
            }
            _ => {}
        }
        let alias = component_utils::component_alias(self, alias)?;
        self.one_alias(component, alias);
        Ok(())
    }

    fn canonical(
        &mut self,
        component: &mut Component,
        function: CanonicalFunction,
    ) -> Result<(), Error> {
        let place = u32::try_from(self.core_functions.len()).unwrap_or(u32::MAX);
        let lifts = matches!(function, CanonicalFunction::Lift { .. });
        if !lifts && self.plan.filling.contains(&place) {
            self.core_functions.push(None);
            return Ok(());
        }
        let mut section = CanonicalFunctionSection::new();
        component_utils::parse_component_canonical(self, &mut section, function)?;
        component.section(&section);
        if lifts {
            let written = next(&mut self.next_function);
            self.functions.push(Some(written));
        } else {
            let written = next(&mut self.next_core_function);
            self.core_functions.push(Some(written));
        }
        Ok(())
    }

    fn instance(&mut self, component: &mut Component, instance: Instance<'_>) -> Result<(), Error> {
        let place = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
        if place == self.plan.filler || place == self.plan.arguments {
            self.instances.push(None);
            return Ok(());
        }
        let mut section = InstanceSection::new();
        match instance {
            Instance::Instantiate { module_index, args } if place == self.plan.main => {
                let first = mapped(&self.instances, self.plan.stubs)?;
                let mut arguments = vec![(FIRST, ModuleArg::Instance(first))];
                for argument in &args {
                    let instance = mapped(&self.instances, argument.index)?;
                    arguments.push((argument.name, ModuleArg::Instance(instance)));
                }
                section.instantiate(module_index, arguments);
            }
            other => component_utils::parse_instance(self, &mut section, other)?,
        }
        component.section(&section);
        let written = next(&mut self.next_instance);
        self.instances.push(Some(written));
        Ok(())
    }
}

impl Reencode for Rewriter<'_> {
    type Error = Unfit;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        mapped(&self.core_functions, function)
    }

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error> {
        mapped(&self.memories, memory)
    }
}

impl ReencodeComponent for Rewriter<'_> {
    fn component_func_index(&mut self, function: u32) -> u32 {
        // What is written with an index that nothing has is not valid.
        mapped(&self.functions, function).unwrap_or(u32::MAX)
    }

    fn instance_index(&mut self, instance: u32) -> u32 {
        mapped(&self.instances, instance).unwrap_or(u32::MAX)
    }

    fn parse_component_payload(
        &mut self,
        component: &mut Component,
        payload: Payload<'_>,
        whole: &[u8],
    ) -> Result<(), Error> {
        match payload {
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(component, alias?)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    self.canonical(component, function?)?;
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.instance(component, instance?)?;
                }
            }
            // Names and producers, which nobody asks a component for that is compiled.
            Payload::CustomSection(_) => {}
            other => component_utils::parse_component_payload(self, component, other, whole)?,
        }
        Ok(())
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), Error> {
        let place = next(&mut self.passed);
        let mut written = if place == self.plan.stubs_module {
            self.main.first()
        } else {
            Module::new()
        };
        if place == self.plan.main_module {
            self.main.parse_core_module(&mut written, parser, module)?;
        } else if place != self.plan.stubs_module && place != self.plan.filler_module {
            reencode::RoundtripReencoder
                .parse_core_module(&mut written, parser, module)
                .map_err(|_| Error::UserError(Unfit))?;
        }
        component.section(&wasm_encoder::ModuleSection(&written));
        Ok(())
    }

    fn parse_component_subcomponent(
        &mut self,
        component: &mut Component,
        parser: Parser,
        inner: &[u8],
        whole: &[u8],
    ) -> Result<(), Error> {
        // What is in there counts for itself.
        reencode::RoundtripReencoder
            .parse_component_subcomponent(component, parser, inner, whole)
            .map_err(|_| Error::UserError(Unfit))
    }
}

#[cfg(test)]
mod tests;
