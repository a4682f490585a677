//! Variables: kept for the exchange under the name of the policy that wrote them.

use bytes::Bytes;
use keyward_names::VariableName;

use crate::bindings::keyward::policy::variables::{Host, VariableFailure};
use crate::exchange::Variable;
use crate::state::CallState;

impl Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.enter_with(name.len())?;
        let policy = self.policy.identity.name.as_str();
        Ok(self
            .exchange
            .variable(policy, &name)
            .map(|value| value.to_vec()))
    }

    fn get_of(&mut self, policy: String, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.enter_with(name.len().saturating_add(policy.len()))?;
        Ok(self
            .exchange
            .variable(&policy, &name)
            .map(|value| value.to_vec()))
    }

    fn set(
        &mut self,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), VariableFailure>> {
        self.enter_with(name.len().saturating_add(value.len()))?;
        let Ok(name) = VariableName::parse(&name) else {
            return Ok(Err(VariableFailure::Invalid));
        };
        let policy = &self.policy.identity.name;
        let variables = &mut self.exchange.variables;
        let place = variables
            .iter()
            .position(|variable| variable.policy == *policy && variable.name == name);
        let others: usize = variables
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != place)
            .map(|(_, variable)| variable.value.len())
            .sum();
        if others.saturating_add(value.len()) > self.policy.limits.variable_bytes
            || (place.is_none() && variables.len() >= self.policy.limits.variables)
        {
            return Ok(Err(VariableFailure::Limit));
        }
        let value = Bytes::from(value);
        match place.and_then(|place| variables.get_mut(place)) {
            Some(variable) => variable.value = value,
            None => variables.push(Variable {
                policy: policy.clone(),
                name,
                value,
            }),
        }
        Ok(Ok(()))
    }
}
